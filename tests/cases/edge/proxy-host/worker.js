const ABOUT = /^(x-forwarded|forwarded|x-real-ip|holm-)/;

export default {
  fetch(request) {
    const about = [...request.headers].filter(([name]) => ABOUT.test(name));
    const host = request.headers.get("host");
    return Response.json({ url: request.url, host, ...Object.fromEntries(about) });
  },
};
