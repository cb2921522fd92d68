// The types vanish, and the lines of what runs differ.
interface Order {
  id: number;
}

export function price(order?: Order): number {
  if (!order) throw new RangeError("no such order");
  return order.id * 2;
}
