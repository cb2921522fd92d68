interface Gone {
  one: number;
}

const gone: Partial<Gone> = {};
if (gone.one === undefined) throw new Error("while it loads");

export default gone;
