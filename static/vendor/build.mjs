// `npm run vendor`: copies what the pages load out of node_modules into this folder.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const packages = join(here, "..", "..", "node_modules");

const files = {
  "tabler/tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
  "tabler/tabler.min.js": "@tabler/core/dist/js/tabler.min.js",
  "echarts/echarts.min.js": "echarts/dist/echarts.min.js",
  "tus/tus.min.js": "tus-js-client/dist/tus.min.js",
};
const licences = {
  "tabler/LICENSE": "@tabler/icons/LICENSE",
  "echarts/LICENSE": "echarts/LICENSE",
  "echarts/NOTICE": "echarts/NOTICE",
  "tus/LICENSE": "tus-js-client/LICENSE",
};
const icons = [
  "activity", "adjustments", "alert-circle", "alert-triangle", "api", "arrow-down", "arrow-left", "arrow-right", "arrow-up",
  "book", "brain", "brand-python", "calendar", "chart-line", "check", "chevron-down", "chevron-left", "chevron-right",
  "circle-check", "clock", "cloud-upload", "code", "copy", "cpu", "database", "dots-vertical", "download", "edit",
  "external-link", "eye", "filter", "file", "file-text", "folder", "folder-open", "folder-plus", "hierarchy-2", "history", "home", "info-circle", "key",
  "language", "layout-grid", "link", "list", "lock", "login", "logout", "menu-2", "notebook", "photo", "pencil", "player-pause", "player-play",
  "player-stop", "plus", "refresh", "rocket", "search", "selector", "send", "server", "settings", "shield-lock", "sparkles", "table", "tag",
  "target", "terminal-2", "trash", "upload", "user", "user-plus", "users", "wand", "x",
];

// A manifest static storage refuses a map that it cannot find.
const withoutMap = (text) => text.replace(/\n?(\/\*|\/\/)# sourceMappingURL=[^\n]*\n?/g, "\n");

for (const [to, from] of Object.entries(files)) {
  mkdirSync(dirname(join(here, to)), { recursive: true });
  writeFileSync(join(here, to), withoutMap(readFileSync(join(packages, from), "utf8")));
}
for (const [to, from] of Object.entries(licences)) copyFileSync(join(packages, from), join(here, to));

const symbols = icons.map((name) => {
  const svg = readFileSync(join(packages, "@tabler/icons/icons/outline", `${name}.svg`), "utf8");
  const shapes = svg
    .replace(/^[\s\S]*?<svg[^>]*>|<\/svg>\s*$/g, "")
    .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none" \/>/, "")
    .trim()
    .replace(/\s+/g, " ");
  return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${shapes}</symbol>`;
});
writeFileSync(join(here, "icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`);
