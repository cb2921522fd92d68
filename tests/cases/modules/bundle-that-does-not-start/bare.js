function t(e){if(!e.secret)throw new Error("no secret");return e.secret}var r=t({}),n={fetch:()=>new Response(r)};export{n as default};
//# sourceMappingURL=bare.js.map
