const why = "not today";
throw new Error(why);
