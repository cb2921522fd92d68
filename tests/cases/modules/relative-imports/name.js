export const NAME = "world";
