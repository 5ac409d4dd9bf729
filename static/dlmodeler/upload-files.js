/* What was dropped or chosen for an upload: files with their paths, folders walked, junk of systems left out. */
(() => {
  "use strict";

  const JUNK = /(^|\/)(\.DS_Store|(eh)?thumbs\.db|desktop\.ini|\._[^/]*)$|(^|\/)__MACOSX\//i;
  const ARCHIVE = /\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$/i;

  /** A file that is to be sent. `state`: waiting, then sent, there (it was before), refused or failed with the reason. */
  const entryOf = (file, path) => ({ file, path, isArchive: ARCHIVE.test(path), state: "waiting", reason: "", url: null });

  /** Adds the files below `node` to `found`. A folder's children are read side by side: one by one takes minutes. */
  async function walk(node, prefix, found, unreadable) {
    const path = prefix + node.name;
    try {
      if (node.isFile) {
        found.push(entryOf(await new Promise((resolve, reject) => node.file(resolve, reject)), path));
        return;
      }
      const reader = node.createReader();
      for (;;) {
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) return;
        await Promise.all(some.map((child) => walk(child, `${path}/`, found, unreadable)));
      }
    } catch {
      unreadable.push(path);
    }
  }

  /** Dropped files and folders; `found` grows while folders are walked. */
  async function dropped(transfer, found) {
    const nodes = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const unreadable = [];
    if (nodes.length) await Promise.all(nodes.map((node) => walk(node, "", found, unreadable)));
    else for (const file of transfer.files) found.push(entryOf(file, file.name));
    found.sort((one, other) => (one.path < other.path ? -1 : 1));
    return unreadable;
  }

  const chosen = (files) => Array.from(files, (file) => entryOf(file, file.webkitRelativePath || file.name));

  /** Leaves out junk, and the name of a sole folder: files are known by their path inside it. */
  function tidied(entries) {
    const kept = entries.filter((entry) => !JUNK.test(entry.path));
    const first = kept[0]?.path.split("/", 1)[0];
    if (kept.length && kept.every((entry) => entry.path.startsWith(`${first}/`))) {
      for (const entry of kept) entry.path = entry.path.slice(first.length + 1);
    }
    return { kept, junk: entries.length - kept.length };
  }

  window.dlm.upload = { dropped, chosen, tidied };
})();
