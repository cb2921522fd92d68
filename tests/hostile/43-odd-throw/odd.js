throw { __proto__: Error.prototype, message: 1 };
