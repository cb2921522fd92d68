export default { fetch( };
