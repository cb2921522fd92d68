export default {
  async fetch(request, env) {
    const one = async (index) => {
      const { path } = await (await fetch(`${env.ORIGIN}/echo?${index}`)).json();
      return path === `/echo?${index}`;
    };
    const results = await Promise.all(Array.from({ length: 40 }, (_, index) => one(index)));
    return new Response(`${results.filter(Boolean).length} of 40`);
  },
};
