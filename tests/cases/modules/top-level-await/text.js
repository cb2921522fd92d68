export const text = await new Promise((resolve) => setTimeout(resolve, 1, "ready too"));
