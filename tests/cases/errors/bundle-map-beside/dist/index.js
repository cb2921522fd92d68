function n(e){if(!e)throw new RangeError("no such order");return e.id*2}var c={async fetch(e){let t=new URL(e.url).pathname;if(t==="/log"){try{n()}catch(r){console.log(r)}return new Response("logged")}if(t==="/stack"){let r=new Error("made").stack;return new Response(r)}return new Response(String(n()))}};export{c as default};
//# sourceMappingURL=index.js.map
