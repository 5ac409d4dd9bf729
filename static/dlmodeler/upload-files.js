/* What was dropped or chosen for an upload: files with their paths, folders walked, junk of systems left out. */
(() => {
  "use strict";

  const JUNK = /(^|\/)(\.DS_Store|(eh)?thumbs\.db|desktop\.ini|\._[^/]*)$|(^|\/)__MACOSX\//i;
  const ARCHIVE = /\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$/i;
  const SIDE_BY_SIDE = 100;

  /**
   * A file that is to be sent; `source` is a File or a file of a dropped folder. `file` and `size` are known once it is
   * loaded. `state`: waiting, then sent, there (it was before), refused or failed with the reason.
   */
  const entryOf = (source, path) => ({
    ...{ source, path, isArchive: ARCHIVE.test(path), isLoaded: false, file: null, size: 0 },
    ...{ state: "waiting", reason: "", url: null },
  });

  /** Adds the files below `node` to `found`. A folder's children are read side by side: one by one takes minutes. */
  async function walk(node, prefix, found, unreadable) {
    const path = prefix + node.name;
    if (node.isFile) {
      found.push(entryOf(node, path));
      return;
    }
    const reader = node.createReader();
    try {
      for (;;) {
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) return;
        await Promise.all(some.map((child) => walk(child, `${path}/`, found, unreadable)));
      }
    } catch {
      unreadable.push(path);
    }
  }

  /** Dropped files and folders; `found` grows while folders are walked. Answers the folders that cannot be read. */
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

  async function load(entry) {
    try {
      const { source } = entry;
      entry.file = source instanceof File ? source : await new Promise((resolve, reject) => source.file(resolve, reject));
      entry.size = entry.file.size;
    } catch {
      entry.file = null; // moved or deleted since it was dropped
    }
    entry.isLoaded = true;
  }

  /**
   * The entries, some at a time, with file and size. The browser stands still while it looks at a file, a third of a
   * millisecond each: after some it rests, or the page would be frozen for as long as 100,000 files take.
   */
  async function* loaded(entries) {
    for (let start = 0; start < entries.length; start += SIDE_BY_SIDE) {
      const some = entries.slice(start, start + SIDE_BY_SIDE);
      if (!some.every((entry) => entry.isLoaded)) {
        await Promise.all(some.map((entry) => entry.isLoaded || load(entry)));
        await new Promise((resolve) => setTimeout(resolve));
      }
      yield some;
    }
  }

  window.dlm.upload = { dropped, chosen, tidied, loaded };
})();
