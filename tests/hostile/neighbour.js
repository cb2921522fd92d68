// The well-behaved function next to every hostile one.
let answered = 0;
export default {
  fetch(request, env) {
    answered += 1;
    return Response.json({ greeting: env.GREETING, answered, polluted: Object.keys({}).length });
  },
};
