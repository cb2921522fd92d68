export default {{;
