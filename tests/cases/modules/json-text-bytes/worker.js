import withAttribute from "./data.json" with { type: "json" };
import without from "./data.json";
import text from "./text.txt";
import textToo from "./text.txt" with { type: "text" };
import html from "./page.html" with { type: "text" };
import bytes from "./data.bin" with { type: "bytes" };

export default {
  fetch() {
    return Response.json({
      json: [withAttribute, without],
      text: [text, textToo, html],
      bytes: [...bytes],
      same: bytes instanceof Uint8Array,
    });
  },
};
