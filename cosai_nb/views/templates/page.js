"use strict";
document.documentElement.classList.add("js");

const each = (selector, act, root = document) => root.querySelectorAll(selector).forEach(act);

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

each("input[data-filter]", (input) => {
  const table = document.getElementById(input.dataset.filter);
  const told = document.getElementById(input.dataset.filter + "-told");
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => [...row.cells].map((cell) => `${cell.textContent} ${cell.title}`).join(" ").toLowerCase());
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      shown += !row.hidden;
    });
    told.textContent = words.length ? `${shown} of ${rows.length} listed jobs match` : "";
  });
});

each("button[data-csv]", (button) => {
  button.addEventListener("click", () => {
    const table = document.getElementById(button.dataset.csv);
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

each("select[data-groups]", (select) => {
  const show = () => each(".group", (group) => { group.hidden = group.dataset.group !== select.value; });
  select.addEventListener("change", show);
  show();
});

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("main > section details:not([open])")].filter((one) => !one.closest("figure"));
  closed.forEach((one) => { one.open = true; });
});
addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
