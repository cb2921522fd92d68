import data from "./data.json" with { type: "json" };

export default { fetch: () => Response.json(data) };
