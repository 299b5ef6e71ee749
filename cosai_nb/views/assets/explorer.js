// The explorer's page: it draws the controls, and says what a user did. Python computes, words and draws; every text that comes
// from there is set as text. A message waits until the one before is answered, and only the newest of those that wait is sent.

const PATIENCE_MS = 15000;
let views = 0;

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

// Put children in place of the old ones, and leave the keyboard where it was.
function fill(parent, children) {
  const active = parent.contains(parent.ownerDocument.activeElement) ? parent.ownerDocument.activeElement : null;
  const key = active && active.getAttribute("data-key");
  parent.replaceChildren(...children);
  if (key) [...parent.querySelectorAll("[data-key]")].find(one => one.getAttribute("data-key") === key)?.focus();
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { class: "cosai-off", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const was = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = was; }, 1500);
}

function render({ model, el }) {
  const view = `v${Date.now()}-${views++}`;
  const state = () => model.get("_state");
  const stop = new AbortController();

  // --- messages: one at a time ---
  let number = 0, asked = 0, timer = 0, silent = false;
  const waiting = new Map(); // by what they change: of two spans the newer counts
  function send(kind, message, group = kind) {
    waiting.delete(group);
    waiting.set(group, { kind, ...message });
    next();
  }
  function next() {
    if (asked > ((state().answered || {})[view] || 0) || !waiting.size) return;
    const [group, message] = waiting.entries().next().value;
    waiting.delete(group);
    asked = ++number;
    trouble("");
    root.setAttribute("aria-busy", "true");
    clearTimeout(timer);
    timer = setTimeout(() => {
      silent = true;
      trouble("The kernel does not answer: it is busy, or this page has none. Then run the cell again.");
    }, PATIENCE_MS);
    model.send({ view, number: asked, ...message });
  }
  function answered() {
    if (asked > ((state().answered || {})[view] || 0)) return;
    clearTimeout(timer);
    if (silent) trouble("");
    silent = false;
    if (!waiting.size) root.removeAttribute("aria-busy");
    next();
  }

  // --- what is always there ---
  const text = { status: make("p", { role: "status", class: "sentence" }), trouble: make("p", { role: "alert", class: "trouble", hidden: true }) };
  const more = make("button", { type: "button", class: "more", "aria-expanded": "false", text: "Filters", onclick: () => {
    more.setAttribute("aria-expanded", String(bar.classList.toggle("open")));
  } });
  const menus = make("div", { class: "menus", role: "group", "aria-label": "Filters" });
  const [from, to] = ["start", "end"].map(edge => make("input", {
    type: "datetime-local", "aria-label": edge === "start" ? "From" : "To", "data-edge": edge,
    onchange: event => { if (event.target.value !== state().window[edge]) send("select", { select: { [edge]: event.target.value } }, edge); },
  }));
  const note = make("small", { class: "note" });
  const window_ = make("div", { class: "window" }, make("label", {}, "From ", from), make("label", {}, "To ", to));
  const bar = make("div", { class: "bar" }, more, menus, window_);
  const chips = make("div", { class: "chips", role: "group", "aria-label": "Filters that are set" });
  const popover = make("div", { class: "popover", role: "dialog", hidden: true });
  const overview = make("div", { class: "host overview" });
  const legend = make("small", { class: "note", text: "Jobs created (grey) and p95 of their queue latency (blue, log scale). Drag over hours to choose them." });
  const tabs = make("div", { class: "tabs", role: "tablist", "aria-label": "Views" });
  const own = make("div", { class: "own" });
  const figure = make("div", { class: "host figure" });
  const numbers = make("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Data of the figure" });
  const data = make("details", { class: "data", ontoggle: () => send("table", { open: data.open }) }, make("summary", { text: "Show data" }), numbers);
  const panel = make("div", { class: "panel", role: "tabpanel", id: `${view}-panel` }, own, text.status, figure, data);
  const search = make("input", { type: "search", "aria-label": "Search in the list of jobs", placeholder: "Search ID, tag, queue, code, message" });
  const jobs = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "List of jobs" });
  const pager = make("div", { class: "pager" });
  const job = make("div", { class: "job", hidden: true, role: "region", "aria-label": "One job" });
  const list = make("section", { class: "list", "aria-label": "Jobs" }, make("div", { class: "head" }, make("h3", { text: "Jobs" }), search, pager), jobs, job);
  const root = make("section", { class: "cosai-explorer", "aria-label": "Explorer of jobs" },
    bar, chips, popover, text.trouble, overview, legend, note, tabs, panel, list);
  el.append(root);

  function trouble(sentence) {
    text.trouble.textContent = sentence;
    text.trouble.hidden = !sentence;
  }

  // --- filters ---
  let openMenu = null, opener = null;
  function showControls() {
    const now = state();
    fill(menus, now.filters.map(([column, title, chosen]) => make("button", {
      type: "button", class: chosen ? "menu set" : "menu", "data-key": `menu ${column}`, "aria-haspopup": "dialog",
      "aria-expanded": String(openMenu === column), text: chosen ? `${title} (${chosen})` : title,
      onclick: event => (openMenu === column ? closeMenu() : showMenu(column, event.currentTarget)),
    })));
    for (const input of [from, to]) {
      input.step = now.window.step;
      if (document.activeElement !== input || !input.value) input.value = now.window[input.dataset.edge];
    }
    note.textContent = now.note;
    const set = now.chips.map(([column, value, words]) => make("span", { class: "chip" }, make("span", { text: words }), make("button", {
      type: "button", "aria-label": `Remove the filter ${words}`, text: "×", "data-key": `chip ${words}`,
      onclick: () => (column ? toggle(column, value, false) : send("select", { select: { span: [null, null] } }, "window")),
    })));
    if (set.length) set.push(make("button", { type: "button", class: "reset", "data-key": "reset", text: "Reset", onclick: () => send("select", { select: { reset: true, span: [null, null] } }, "reset") }));
    fill(chips, set.length ? set : [make("span", { class: "soft", text: "All jobs: no filter is set." })]); // no jump at the first
    more.textContent = now.chips.length ? `Filters (${now.chips.length})` : "Filters";
  }
  const wanted = new Map(); // labels that were chosen, and are not answered yet
  function toggle(column, value, on) {
    const chosen = wanted.get(column) || state().chips.filter(chip => chip[0] === column).map(chip => chip[1]);
    const labels = on ? [...new Set([...chosen, value])] : chosen.filter(one => one !== value);
    wanted.set(column, labels);
    send("select", { select: { filters: { [column]: labels } } }, `filter ${column}`);
  }
  function showMenu(column, button) {
    openMenu = column;
    opener = button.getAttribute("data-key");
    const find = make("input", { type: "search", "aria-label": "Search in this menu", placeholder: "Search", oninput: () => askMenu(find.value) });
    const clear = make("button", { type: "button", text: "All", title: "Show all jobs", onclick: () => { wanted.set(column, []); send("select", { select: { filters: { [column]: [] } } }, `filter ${column}`); } });
    popover.replaceChildren(make("div", { class: "head" }, find, clear, make("button", { type: "button", text: "Done", onclick: closeMenu })), make("div", { class: "options" }));
    popover.setAttribute("aria-label", `Filter by ${button.textContent}`);
    popover.hidden = false;
    const box = root.getBoundingClientRect(), at = button.getBoundingClientRect();
    popover.style.top = `${at.bottom - box.top + 4}px`;
    popover.style.left = `${Math.max(0, Math.min(at.left - box.left, box.width - popover.offsetWidth))}px`;
    find.focus();
    askMenu("");
    showControls();
  }
  function askMenu(typed) { send("menu", { column: openMenu, text: typed }); }
  function closeMenu() {
    if (openMenu === null) return;
    openMenu = null;
    popover.hidden = true;
    send("menu", { column: null });
    showControls();
    [...menus.children].find(one => one.getAttribute("data-key") === opener)?.focus();
  }
  function showOptions() {
    const menu = model.get("_menu"), options = popover.querySelector(".options");
    if (!options || menu.column !== openMenu) return;
    const rows = menu.options.map(([value, name, jobs_, on]) => make("label", {}, make("input", {
      type: "checkbox", checked: on, "data-key": `option ${value}`, onchange: event => toggle(menu.column, value, event.target.checked),
    }), make("span", { class: "name", text: name, title: value === null ? "" : value }), make("span", { class: "n", text: jobs_ })));
    if (!rows.length) rows.push(make("p", { text: "Nothing is called so." }));
    if (menu.more) rows.push(make("p", { text: `${menu.more.toLocaleString("en")} more: search for them.` }));
    fill(options, rows);
  }
  document.addEventListener("pointerdown", event => {
    if (openMenu !== null && !popover.contains(event.target) && !menus.contains(event.target)) closeMenu();
  }, { signal: stop.signal, capture: true });
  root.addEventListener("keydown", event => { if (event.key === "Escape" && openMenu !== null) { event.stopPropagation(); closeMenu(); } });

  // --- views ---
  function showTabs() {
    const now = state(), names = now.tabs.map(([name]) => name);
    fill(tabs, now.tabs.map(([name, title]) => make("button", {
      type: "button", role: "tab", id: `${view}-${name}`, "aria-selected": String(name === now.tab), "aria-controls": panel.id,
      tabindex: name === now.tab ? "0" : "-1", "data-key": name, text: title, onclick: () => send("select", { select: { tab: name } }, "tab"),
      onkeydown: event => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const other = tabs.children[(names.indexOf(name) + step + names.length) % names.length];
        other.focus();
        other.click();
      },
    })));
    panel.setAttribute("aria-labelledby", `${view}-${now.tab}`);
    const choice = (title, options, chosen, choose) => make("label", {}, `${title} `, make("select", {
      "data-key": title, onchange: event => choose(event.target.selectedIndex),
    }, ...options.map(([value, words]) => make("option", { text: words, selected: value === chosen }))));
    fill(own, [
      now.groups.length ? choice("Group by", now.groups, now.by || "", at => send("select", { select: { by: now.groups[at][0] || null } }, "by")) : null,
      now.quantiles.length ? choice("Quantile", now.quantiles, now.q, at => send("select", { select: { q: now.quantiles[at][0] } }, "q")) : null,
      make("button", { type: "button", class: "code", "data-key": "code", text: "Copy as Python", title: now.code, onclick: event => copy(state().code, event.currentTarget) }),
    ].filter(one => one !== null));
    if (text.status.textContent !== now.sentence) text.status.textContent = now.sentence;
  }
  const laid = new Map(); // by trait: what is shown, and the overlay on it
  function showPicture(host, name) {
    const picture = model.get(name);
    if (!picture.svg || laid.get(name)?.svg === picture.svg) return;
    laid.get(name)?.over.destroy();
    host.innerHTML = picture.svg; // Python escaped every text in it
    laid.set(name, { svg: picture.svg, over: cosaiOverlay(host, picture.map, {}) });
    showChosen();
  }
  function showChosen() {
    const { span, ends } = state().window, picked = state().chips.filter(([column]) => column).map(([column, value]) => [column, value]);
    laid.get("_figure")?.over.show({ picked });
    laid.get("_overview")?.over.show({ span: span.every(edge => edge === null) ? null : span.map((edge, at) => edge ?? ends[at]) });
  }
  for (const host of [overview, figure]) {
    const on = (name, act) => host.addEventListener(`cosai:${name}`, event => { event.preventDefault(); act(event.detail); });
    on("span", detail => send("select", { select: { span: [detail.start, detail.end] } }, "window"));
    on("pick", detail => { if (detail.pick) send("pick", { pick: detail.pick }, `pick ${JSON.stringify(detail.pick)}`); });
    on("clear", () => { if (state().window.span.some(edge => edge !== null)) send("select", { select: { span: [null, null] } }, "window"); });
  }
  function table(columns, rows) {
    return make("table", {}, make("thead", {}, make("tr", {}, ...columns)), make("tbody", {}, ...rows));
  }
  function showNumbers() {
    const told = model.get("_table");
    if (!told.columns) { numbers.replaceChildren(); return; }
    const parts = [table(told.columns.map(name => make("th", { scope: "col", text: name })), told.rows.map(row => make("tr", {}, ...row.map(cell => make("td", { text: cell })))))];
    if (told.note) parts.unshift(make("p", { text: told.note }));
    numbers.replaceChildren(...parts);
  }

  // --- jobs ---
  const page = change => send("list", { list: change });
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => page({ text: search.value, page: 0 }), 200);
  });
  function showJobs() {
    const told = model.get("_jobs");
    search.hidden = !told.columns.length;
    const turn = (words, by, off) => make("button", { type: "button", text: words, "data-key": words, disabled: off, onclick: () => page({ page: told.page + by }) });
    fill(pager, [make("span", { class: "found", text: told.note }), ...(told.pages > 1 ? [
      turn("Previous", -1, told.page === 0), make("span", { text: `page ${(told.page + 1).toLocaleString("en")} of ${told.pages.toLocaleString("en")}` }),
      turn("Next", 1, told.page + 1 >= told.pages)] : [])]);
    fill(jobs, told.columns.length ? [table(told.columns.map(([name, title, sort]) => make("th", { scope: "col", "aria-sort": sort }, make("button", {
      type: "button", text: title, "data-key": `sort ${name}`, onclick: () => page({ sort: name, ascending: sort === "descending", page: 0 }),
    }))), told.rows.map(([id, ...cells]) => make("tr", {}, ...cells.map((cell, at) => (at || id === null ? make("td", { class: told.columns[at][0], text: cell }) : make("td", { class: "id" },
      make("button", { type: "button", class: "link", text: cell, title: id, "data-key": `job ${id}`, onclick: () => send("open", { job_id: id }) }),
      make("button", { type: "button", class: "copy", text: "Copy", "aria-label": `Copy the job ID ${id}`, "data-key": `copy ${id}`, onclick: event => copy(id, event.currentTarget) })))))))] : []);
  }
  function showJob() {
    const told = model.get("_job");
    job.hidden = !told.id;
    if (!told.id) { job.replaceChildren(); return; }
    const answer = make("pre", { class: "answer", hidden: true, tabindex: "0" });
    const ask = make("button", { type: "button", text: "Whole answer", onclick: () => {
      answer.hidden = false;
      answer.textContent = "Asking the service …";
      send("answer", { job_id: told.id });
    } });
    const bar_ = make("div", { class: "course", role: "img", "aria-label": told.course }, ...told.parts.filter(([, share]) => share > 0).map(([name, share, words]) => {
      const part = make("span", { class: share > 0.15 ? `${name} told` : name, text: share > 0.15 ? words : "", title: words });
      part.style.flexGrow = Math.max(share, 0.004);
      return part;
    }));
    job.replaceChildren(
      make("div", { class: "head" }, make("h4", { text: told.id, tabindex: "-1" }),
        make("button", { type: "button", text: "Copy ID", onclick: event => copy(told.id, event.currentTarget) }),
        state().client ? ask : null, make("button", { type: "button", text: "Close", onclick: () => send("open", { job_id: null }) })),
      make("p", { text: told.course }), bar_, answer,
      make("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Every column of the job" },
        make("table", {}, make("tbody", {}, ...told.rows.map(([name, cell]) => make("tr", {}, make("th", { scope: "row", text: name }), make("td", { text: cell })))))));
    job.querySelector("h4").focus({ preventScroll: true });
    job.scrollIntoView({ block: "nearest" });
  }
  function heard(message) {
    if (message.kind === "trouble") trouble(message.text);
    const answer = job.querySelector(".answer");
    if (message.kind === "answer" && answer && model.get("_job").id === message.job_id) { answer.hidden = false; answer.textContent = message.text; }
  }

  // --- what changes ---
  const shown = {
    _state() { if (!waiting.size) wanted.clear(); showControls(); showTabs(); showChosen(); answered(); },
    _figure() { showPicture(figure, "_figure"); },
    _overview() { showPicture(overview, "_overview"); },
    _menu: showOptions, _table: showNumbers, _jobs: showJobs, _job: showJob,
  };
  for (const [name, show] of Object.entries(shown)) model.on(`change:${name}`, show);
  model.on("msg:custom", heard);
  for (const name of ["_overview", "_figure", "_jobs", "_job", "_state"]) shown[name]();

  // --- size and colours ---
  let width = 0, resting = 0;
  function paint() {
    const paper = getComputedStyle(root).backgroundColor.match(/[\d.]+/g);
    const dark = paper && paper.length >= 3 && 0.3 * paper[0] + 0.6 * paper[1] + 0.1 * paper[2] < 128;
    root.classList.toggle("dark", Boolean(dark));
  }
  const sizes = new ResizeObserver(() => {
    const now = Math.round(figure.clientWidth);
    paint();
    if (!now || Math.abs(now - width) < 16) return;
    clearTimeout(resting);
    resting = setTimeout(() => { width = now; send("width", { width: now }); }, width ? 200 : 0);
  });
  sizes.observe(figure);
  const themes = new MutationObserver(paint);
  themes.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-vscode-theme-kind"] });
  const scheme = globalThis.matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", paint, { signal: stop.signal });

  return () => {
    stop.abort();
    sizes.disconnect();
    themes.disconnect();
    clearTimeout(timer);
    for (const { over } of laid.values()) over.destroy();
    for (const [name, show] of Object.entries(shown)) model.off(`change:${name}`, show);
    model.off("msg:custom", heard);
  };
}

export default { render };
