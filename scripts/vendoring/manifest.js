// Writes beside the module its licences, and from which packages it was made: `node manifest.js FOLDER`.
const { createHash } = require("node:crypto");
const { readFileSync, writeFileSync } = require("node:fs");

const [folder] = process.argv.slice(2);
const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const locked = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;
const names = Object.keys(dependencies).sort();

const licences = names.map((name) => {
  const text = readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim();
  return `${name} ${locked[`node_modules/${name}`].version}\n\n${text}\n`;
});
writeFileSync(`${folder}/LICENSES.txt`, licences.join(`\n${"-".repeat(80)}\n\n`));

const packages = names.map((name) => {
  const { version, license, integrity } = locked[`node_modules/${name}`];
  return [name, { version, license, integrity }];
});
const files = ["LICENSES.txt", "preact.js"].map((name) => {
  const sha256 = createHash("sha256").update(readFileSync(`${folder}/${name}`)).digest("hex");
  return [name, sha256];
});
const manifest = { packages: Object.fromEntries(packages), sha256: Object.fromEntries(files) };
writeFileSync(`${folder}/manifest.json`, `${JSON.stringify(manifest, null, 2)}\n`);
