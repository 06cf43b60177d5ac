// Checks AsyncAPI documents with AsyncAPI's own parser: node check.mjs FILE...
// Prints one line for each diagnostic and one for each file; exits with 1 if a file has an error or a warning.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const SEVERITIES = ["error", "warning", "info", "hint"];
const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: node check.mjs FILE...");
  process.exit(64);
}
const count = (things) => things.all().length;
for (const file of files) {
  const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf-8"), { source: file });
  for (const { severity, code, message, path, range } of diagnostics) {
    console.log(`${SEVERITIES[severity]} ${code} line ${range.start.line + 1} ${path.join("/")}: ${message}`);
  }
  if (document === undefined || diagnostics.some(({ severity }) => severity <= 1)) {
    console.log(`refused: ${file}`);
    process.exitCode = 1;
    continue;
  }
  console.log(
    `valid: ${file}: AsyncAPI ${document.version()}, ${count(document.channels())} channels, ` +
      `${count(document.operations())} operations, ${count(document.messages())} messages`,
  );
}
