export const help = "help";
