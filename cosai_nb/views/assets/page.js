"use strict";
document.documentElement.classList.add("js");

const each = (selector, act, root = document) => root.querySelectorAll(selector).forEach(act);
const byId = (id) => document.getElementById(id);

// --- tables: sort, save ---

// what a cell says to a machine: its value where the text is for people
const plain = (cell) => cell.dataset.v ?? cell.textContent.trim().replace(/^–$/, "").replace(/^[\d,]+$/, (count) => count.replaceAll(",", ""));

function sortBy(header, descending) {
  const table = header.closest("table");
  const column = header.cellIndex;
  const sign = descending ? -1 : 1;
  const numeric = header.classList.contains("n");
  const key = (row) => {
    const text = plain(row.cells[column]);
    return numeric && text !== "" ? Number(text) : text;
  };
  const missing = (value) => value === "" || Number.isNaN(value);
  const order = (a, b) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b); // what is not known stays at the end either way
    if (numeric) return sign * (a - b || 0); // ∞ − ∞ is NaN
    return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  rows.sort((a, b) => order(a[0], b[0]));
  table.tBodies[0].append(...rows.map((pair) => pair[1]));
  each("th[aria-sort]", (other) => other.setAttribute("aria-sort", "none"), table);
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

each("table.sortable thead th", (header) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  header.append(button);
  if (!header.hasAttribute("aria-sort")) header.setAttribute("aria-sort", "none");
  button.addEventListener("click", () => {
    const now = header.getAttribute("aria-sort");
    sortBy(header, now === "none" ? header.classList.contains("n") : now === "ascending");
  });
});

each("button[data-csv]", (button) => {
  button.addEventListener("click", () => {
    const table = byId(button.dataset.csv);
    const quoted = (text) => '"' + text.replace(/^[=+\-@\t\r]/, "'$&").replace(/"/g, '""') + '"'; // a spreadsheet runs =…
    const text = (cell) => plain(cell) + (cell.dataset.unit ? ` [${cell.dataset.unit}]` : "");
    const line = (row) => [...row.cells].map((cell) => quoted(text(cell))).join(",");
    const rows = [...table.tHead.rows, ...table.tBodies[0].rows].filter((row) => !row.hidden);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", rows.map(line).join("\r\n")], { type: "text/csv" }));
    link.download = button.dataset.csv + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
});

// --- IDs are shown short and copied whole ---

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no permission, or a page that is not trusted
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const told = byId("copied");
  told.textContent = `Copied ${text}`;
  setTimeout(() => { told.textContent = ""; }, 1500);
}

function copyButton(text, whole) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "copy", title: `Copy ${whole}`, textContent: text });
  button.addEventListener("click", () => copy(whole));
  return button;
}

each(".tables td.id[title], .tables th.id[title], .tables td.ids", (cell) => {
  const whole = (cell.dataset.v ?? "").split("\n");
  const shown = cell.textContent.trim().split("\n");
  if (cell.title) cell.dataset.v = cell.title;
  if (cell.title) cell.replaceChildren(copyButton(cell.textContent, cell.title));
  else cell.replaceChildren(...whole.filter(Boolean).flatMap((id, i) => [copyButton(shown[i], id), " "]));
  cell.removeAttribute("title");
});

// --- the address: #queue=nightly&search=timeout ---

const groups = [...document.querySelectorAll(".group")];
const chooser = document.querySelector("[data-groups]");
const box = byId("search");
const rows = [...document.querySelectorAll(".tables tbody tr")].map((row) => [
  row, [...row.cells].map((cell) => `${cell.textContent} ${cell.dataset.v ?? ""}`).join(" ").toLowerCase(),
]);
let chosen = groups[0];

const thin = JSON.parse(byId("thin")?.textContent ?? "{}"); // what the maps of thin figures have in common

function overlays(group) {
  if (group.dataset.overlaid) return;
  group.dataset.overlaid = "yes";
  each(".drawing > script", (data) => {
    const common = data.closest(".thin") ? thin : {};
    cosaiOverlay(data.parentElement, { ...common, ...JSON.parse(data.textContent) });
  }, group);
}

function show(group) {
  chosen = group;
  overlays(group);
  groups.forEach((one) => { one.hidden = one !== group; });
  if (chooser) chooser.value = group.dataset.name;
}

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach(([row, said]) => {
    row.hidden = !words.every((word) => said.includes(word));
    shown += !row.hidden;
  });
  // a table, or a section, in which nothing matches would only be in the way
  each("section.tables, .listed", (part) => { part.hidden = words.length > 0 && !part.querySelector("tbody tr:not([hidden])"); });
  byId("search-told").textContent = words.length ? `${shown} of ${rows.length} rows match` : "";
}

function remember(more = "") {
  const parts = [chosen && chosen !== groups[0] ? chosen.id : "", box?.value ? `search=${encodeURIComponent(box.value)}` : "", more];
  history.replaceState(null, "", `#${parts.filter(Boolean).join("&")}`);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch { // half an escape, cut by a mail program
    return text;
  }
}

function named(text) {
  const wanted = text.trim().toLowerCase();
  const near = groups.filter((one) => one.dataset.name.toLowerCase().includes(wanted));
  const found = near.find((one) => one.dataset.name.toLowerCase() === wanted) ?? (near.length === 1 ? near[0] : undefined);
  const told = near.length ? `${near.length} names hold “${text}”: write more of one.` : `No name holds “${text}”.`;
  chooser.setCustomValidity(found ? "" : told);
  return found;
}

function restore() {
  const parts = location.hash.slice(1).split("&");
  const group = groups.find((one) => parts.some((part) => decoded(part) === decoded(one.id)));
  const text = parts.find((part) => part.startsWith("search="))?.slice(7);
  if (group) {
    show(group);
    byId("figures").scrollIntoView();
  }
  if (text !== undefined && box) {
    box.value = decoded(text);
    search(box.value);
  }
  const section = byId(parts[0]);
  if (section?.hidden && section.matches(".tables")) { // a link to what the search hides ends the search
    box.value = "";
    search("");
    section.scrollIntoView();
  }
  const place = parts.find((part) => part.startsWith("scroll="))?.slice(7);
  if (place !== undefined) {
    scrollTo(0, Number(place));
    remember();
  }
}

if (groups.length) show(groups[0]);
chooser?.addEventListener("change", () => {
  const group = named(chooser.value);
  if (!group) {
    chooser.reportValidity();
    return;
  }
  show(group);
  remember();
});
if (chooser?.list) {
  chooser.addEventListener("focus", () => { chooser.value = ""; }); // else it lists only what matches
  chooser.addEventListener("input", () => chooser.setCustomValidity(""));
  chooser.addEventListener("blur", () => {
    chooser.setCustomValidity("");
    chooser.value = chosen.dataset.name;
  });
}
box?.addEventListener("input", () => {
  search(box.value);
  remember();
});
addEventListener("hashchange", restore);
restore();

// --- a page that is written anew: it loads nothing, so its clock says when a newer one should exist ---

const renewal = byId("renewal");

function watchRenewal() {
  const [made, every] = [Number(renewal.dataset.made), Number(renewal.dataset.every)];
  const isDue = () => Date.now() > made + 1.1 * every; // to write it takes its time
  const told = isDue() ? "No newer one has come since: the watch may have ended." : "A newer one should exist.";
  const tell = () => {
    if (!isDue()) return;
    clearInterval(clock);
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Reload" });
    button.addEventListener("click", () => {
      remember(`scroll=${Math.round(scrollY)}`);
      location.reload();
    });
    renewal.append(told, " ", button);
  };
  const clock = setInterval(tell, 1000);
  tell();
}

if (renewal) watchRenewal();

// --- printing: every group ---

addEventListener("beforeprint", () => groups.forEach((group) => { group.hidden = false; }));
addEventListener("afterprint", () => { if (chosen) show(chosen); });
