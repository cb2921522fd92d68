/** @jsxRuntime classic */
/** @jsx h */
const h = (name: string, attributes: Record<string, string> | null, ...children: string[]) => {
  const pairs = Object.entries(attributes ?? {}).map(([key, value]) => ` ${key}="${value}"`);
  return `<${name}${pairs.join("")}>${children.join("")}</${name}>`;
};

export default {
  fetch() {
    return new Response(<p class="x">hi</p>);
  },
};
