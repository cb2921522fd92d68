throw new Error("\x1b[2Jboo\x07 \x9b31mred \u202eder");
