// Builds the scripts and styles of the pages into ../static/built: minified, with their content's hash in their names,
// compressed beside themselves, and with a manifest that says which file is which.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const out = process.argv[2] ?? "../static/built";
const fresh = `${out}.new`;
const COPIED = { "world.json": "node_modules/world-atlas/countries-50m.json" };
const COMPRESSED = new Set([".js", ".css", ".json", ".svg"]);

rmSync(fresh, { recursive: true, force: true });
mkdirSync(fresh, { recursive: true });

const scripts = readdirSync("src/pages").map((file) => join("src/pages", file));
const styles = ["../static/fungarium.css", "src/styles/map.css"];
const options = { bundle: true, minify: true, outdir: fresh, metafile: true, legalComments: "linked", target: "es2022" };
const built = [
  await build({ ...options, entryPoints: scripts, format: "esm", splitting: true, entryNames: "[name]-[hash]", chunkNames: "chunk-[hash]" }),
  await build({ ...options, entryPoints: styles, entryNames: "[name]-[hash]", loader: { ".png": "dataurl", ".gif": "dataurl" } }),
];

const names = {};
for (const { metafile } of built) {
  for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint) names[basename(entryPoint).replace(/\.ts$/, ".js")] = basename(path);
  }
}
for (const [name, source] of Object.entries(COPIED)) {
  const content = readFileSync(source);
  const digest = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
  names[name] = name.replace(extname(name), `-${digest}${extname(name)}`);
  writeFileSync(join(fresh, names[name]), content);
}
const files = readdirSync(fresh).sort();
for (const file of files.filter((name) => COMPRESSED.has(extname(name)))) {
  const content = readFileSync(join(fresh, file));
  writeFileSync(join(fresh, `${file}.gz`), gzipSync(content, { level: 9 }));
  const quality = { [constants.BROTLI_PARAM_QUALITY]: content.length > 300_000 ? 9 : 11 };
  writeFileSync(join(fresh, `${file}.br`), brotliCompressSync(content, { params: quality }));
}
writeFileSync(join(fresh, "manifest.json"), JSON.stringify({ names, files }, null, 1) + "\n");
rmSync(out, { recursive: true, force: true });
renameSync(fresh, out);
console.log(`${out}: ${files.length} files`);
