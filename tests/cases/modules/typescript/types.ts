export enum Role {
  Reader,
  Editor,
}

export interface User {
  id: number;
  role: Role;
}

export type Greeting = { text: string };
