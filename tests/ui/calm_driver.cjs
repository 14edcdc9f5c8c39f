// Read by Playwright's driver before its own code. It describes the whole page in words, a tenth of
// a second of the page's time, whenever something expected is not there yet, for a message that
// only the last of these looks would have. Where there is no such description, nothing is replaced.
"use strict";
const { Module } = require("node:module");

const DESCRIBES = /(ariaSnapshotForExpectFailure\(\w+, \w+\) \{)(\\n|\n)/g;
const compile = Module.prototype._compile;
Module.prototype._compile = function (code, name, ...more) {
  const ours = name.endsWith("coreBundle.js") && typeof code === "string";
  return compile.call(this, ours ? code.replace(DESCRIBES, '$1 return ""; $2') : code, name, ...more);
};
