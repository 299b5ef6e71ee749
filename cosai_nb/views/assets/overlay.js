// Hover, drag, click, keyboard and touch over one picture of figure.py, by the map that came with it.
//
// No import and no export: it stands before the script that uses it, in one classic script or in one module.
//   const figure = cosaiOverlay(host, map, { span: [ms, ms] | null, picked: [[column, label], …] });
//   figure.show({ span, picked })   draws what is selected      figure.zoom(ms, ms)   figure.reset()   figure.destroy()
// The host holds the <svg class="cosai-picture">. On it these events arise, and bubble:
//   cosai:span {start, end}   cosai:pick {pick, name, series, index}   cosai:clear {}
// A listener that acts calls preventDefault(); else a span zooms all figures over time, and a pick highlights.
const cosaiOverlay = (() => {
  "use strict";
  const MOST_ROWS = 10;
  const NEAR = 8; // viewBox units from a line or a mark that a pointer still means
  const DRAG = 4; // CSS pixels that make a click a drag
  const TICK = 64; // viewBox units that the name of a tick needs
  const MINUTE = 60_000, DAY = 1440 * MINUTE;
  const STEPS = [1, 5, 15, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160, 40320, 131040].map((minutes) => minutes * MINUTE);
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const living = new Set();
  const lastRead = new WeakMap(); // of each host: where it is drawn anew, reading goes on there
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const holds = (box, x, y, more = 0) => x >= box[0] - more && x <= box[2] + more && y >= box[1] - more && y <= box[3] + more;
  const isPart = (pick, picked) => pick?.length > 0 && pick.every(([column, label]) => picked.some((pair) => pair[0] === column && pair[1] === label));

  // texts come from the map, and go to the page by textContent only
  function make(tag, attributes, parent, text = "") {
    const made = document.createElementNS(parent.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    parent.append(made);
    return made;
  }

  function least(all, key) {
    let [best, lowest] = [null, Infinity];
    for (const one of all) {
      const found = key(one);
      if (found < lowest) [best, lowest] = [one, found];
    }
    return best;
  }

  // the places of a series from left to right, of which a point is a box without a size; and the whole of it
  function read(one, number) {
    const boxes = one.boxes || one.at.map(([x, y]) => [x, y, x, y]);
    const share = (side) => boxes.every((box) => Math.abs(box[side] - boxes[0][side]) < 0.2); // bars stand on one edge
    const all = { ...one, number, isLine: !one.boxes, rows: share(0), columns: share(3) };
    const places = boxes.map((box, index) => ({ one: all, index, box, words: one.words[index], pick: one.picks?.[index] || one.pick }));
    all.places = places.sort((a, b) => a.box[0] - b.box[0] || a.box[1] - b.box[1]);
    all.whole = { one: all, index: null, pick: one.pick };
    return all;
  }

  return function overlay(host, map, options = {}) {
    const svg = host.querySelector("svg.cosai-picture");
    if (!svg || !map?.series) return { show() {}, zoom() {}, reset() {}, destroy() {} };
    const [left, top, right, bottom] = map.box;
    const series = map.series.map(read).filter((one) => one.places.length);
    const lines = series.filter((one) => one.isLine);
    const boxes = series.filter((one) => !one.isLine).flatMap((one) => one.places);
    const ended = new AbortController();
    let view = [left, right]; // what is shown of the box
    const [name, number] = lastRead.get(host) || [];
    let focus = series.find((one) => one.name === name)?.places.find(({ index }) => index === number) || null; // the place, or the series, read last
    let light = null; // the place or the series that is highlighted
    let marked = null; // [ms, ms] from where to where a span is being marked
    let down = null; // where a button or a finger went down
    let selected = options;

    const ticks = make("g", { class: "cosai-ticks" }, svg);
    const over = make("g", { class: "cosai-over" }, svg);
    const shade = make("g", {}, over);
    const marks = make("g", {}, over);
    const dots = make("g", {}, over);
    // a popover lies above all that would cut it; the status has the same words
    const tip = make("div", { class: "cosai-tip", popover: "manual", "aria-hidden": true }, host);
    const status = make("div", { class: "cosai-status", role: "status" }, host);
    const button = make("button", { class: "cosai-reset", type: "button" }, host, "Reset zoom");
    host.classList.add("cosai-overlay", ...(map.time ? ["cosai-drags"] : []));
    const access = { tabindex: 0, role: "application", "aria-label": `${map.title || map.series[0].name}. ${map.help || ""}`, "data-lm-suppress-shortcuts": true }; // JupyterLab's
    for (const [name, value] of Object.entries(access)) host.setAttribute(name, value);

    // ---- places: those of the map, and where they are shown while zoomed
    const stretch = () => (right - left) / (view[1] - view[0]);
    const shownX = (x) => left + (x - view[0]) * stretch();
    const placeAt = (x) => clamp(view[0] + (x - left) / stretch(), left, right);
    const timeAt = (place) => map.time[0] + ((place - left) / (right - left)) * (map.time[1] - map.time[0]);
    const placeOf = (ms) => left + ((ms - map.time[0]) / (map.time[1] - map.time[0])) * (right - left);
    const shown = ({ box }) => [clamp(shownX(box[0]), left, right), box[1], clamp(shownX(box[2]), left, right), box[3]];
    const isShown = ({ box }) => box && box[2] >= view[0] - 0.1 && box[0] <= view[1] + 0.1;
    const middle = (place) => {
      const [x0, y0, x1, y1] = shown(place);
      return [(x0 + x1) / 2, (y0 + y1) / 2];
    };
    const isZoomed = () => view[0] > left || view[1] < right;
    const clientOf = (x, y) => new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    const pointOf = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());

    // the smallest box that holds a place; without lines, a whole row or column means its bar
    function boxAt(x, y) {
      const within = boxes.filter(isShown).map((place) => [place, shown(place)]);
      const area = ([, [x0, y0, x1, y1]]) => (x1 - x0) * (y1 - y0);
      const slack = ([x0, y0, x1, y1]) => Math.max(0, 3 - Math.min(x1 - x0, y1 - y0) / 2); // thin ones are hard to hit
      const holding = within.filter(([, box]) => holds(box, x, y, slack(box)));
      const isBar = ([{ one }, [x0, y0, x1, y1]]) => (one.rows && y >= y0 && y <= y1) || (one.columns && x >= x0 && x <= x1);
      return (least(holding, area) || (!lines.length && within.find(isBar)) || [null])[0];
    }

    // of each series the point nearest to x, and of several there that nearest to y
    function pointsAt(x, y) {
      const across = ({ box }) => Math.abs(shownX(box[0]) - x);
      const inside = ({ places }) => x >= shownX(places[0].box[0]) - NEAR && x <= shownX(places.at(-1).box[0]) + NEAR;
      const near = lines.filter(inside).map((one) => least(one.places, (place) => 1e4 * across(place) + Math.abs(place.box[1] - y)));
      return near.filter((place) => isShown(place) && (!place.one.single || across(place) <= NEAR));
    }

    // the series whose line passes by: at or between the heights of the points on both sides
    function lineAt(x, y) {
      const away = ({ places, single }) => {
        const after = places.findIndex(({ box }) => shownX(box[0]) >= x);
        const sides = [places[after - 1], places.at(after)].filter(Boolean);
        const heights = sides.map(({ box }) => box[1]);
        const across = Math.min(...sides.map(({ box }) => Math.abs(shownX(box[0]) - x)));
        const down = Math.max(Math.min(...heights) - y, y - Math.max(...heights), 0);
        return single ? across : Math.hypot(sides.length < 2 ? across : 0, down); // an event has the whole height
      };
      return least(lines.filter((one) => away(one) <= NEAR), away);
    }

    function targetAt({ x, y }) {
      const entry = series.find((one) => one.legend && holds(one.legend, x, y, 2));
      if (entry || !holds(map.box, x, y, 2)) return entry?.whole || null;
      return boxAt(x, y) || lineAt(x, y)?.whole || null;
    }

    // ---- words
    function tell(heading, rows, client) {
      tip.replaceChildren();
      if (heading) make("strong", {}, tip, heading);
      for (const [color, text] of rows.slice(0, MOST_ROWS)) {
        const row = make("div", { class: "cosai-row" }, tip);
        make("span", { class: "cosai-swatch" }, row).style.backgroundColor = color;
        make("span", {}, row, text);
      }
      if (rows.length > MOST_ROWS) make("div", {}, tip, `and ${rows.length - MOST_ROWS} more`);
      status.textContent = [...tip.children].map((child) => child.textContent).join("; ");
      tip.classList.add("cosai-on");
      if (tip.showPopover && !tip.matches(":popover-open")) tip.showPopover();
      const { clientWidth, clientHeight } = document.documentElement;
      const beside = (at, size, room) => Math.max(at + 14 + size > room ? at - 14 - size : at + 14, 4);
      tip.style.left = `${beside(client.x, tip.offsetWidth, clientWidth)}px`;
      tip.style.top = `${beside(client.y, tip.offsetHeight, clientHeight)}px`;
    }

    function hide() {
      tip.classList.remove("cosai-on");
      if (tip.showPopover && tip.matches(":popover-open")) tip.hidePopover();
      dots.replaceChildren();
      status.textContent = "";
    }

    // what several have in common before the first ": " is said once, and the same words once
    function readOut(places, client) {
      if (!places.length) return hide();
      dots.replaceChildren();
      const cross = places.find(({ one }) => one.isLine);
      if (cross) make("line", { class: "cosai-cross", x1: middle(cross)[0], x2: middle(cross)[0], y1: top, y2: bottom }, dots);
      for (const place of places.slice(0, MOST_ROWS)) {
        const [cx, cy] = middle(place);
        if (place.one.isLine) make("circle", { class: "cosai-dot", cx, cy, r: 3.5 }, dots).style.fill = place.one.color;
        else outline(shown(place), dots, "cosai-outline");
      }
      const told = places.filter(({ words }, number) => places.findIndex((other) => other.words === words) === number);
      const head = told[0].words.split(": ", 1)[0];
      const shared = told.every(({ words }) => words.startsWith(`${head}: `));
      const rows = told.map(({ one, words }) => {
        const rest = shared ? words.slice(head.length + 2) : words;
        return [one.color, (told.length > 1 || map.named) && !words.includes(one.name) ? `${one.name}: ${rest}` : rest];
      });
      return tell(shared ? head : "", rows, client);
    }

    function hover(event) {
      const { x, y } = pointOf(event);
      svg.classList.toggle("cosai-hand", Boolean(targetAt({ x, y })));
      if (!holds(map.box, x, y, 2)) return hide();
      const first = least(pointsAt(x, y), (place) => Math.abs(middle(place)[0] - x));
      const points = first ? pointsAt(middle(first)[0], y) : [];
      const box = boxAt(x, y);
      return readOut(box ? [box, ...points] : points, event);
    }

    // ---- what is drawn over the picture
    function outline([x, y, x1, y1], parent, name) {
      make("rect", { class: name, x, y, width: Math.max(x1 - x, 1), height: Math.max(y1 - y, 1) }, parent);
    }

    function drawMarks() {
      marks.replaceChildren();
      const isMarked = (target) => light === target || isPart(target.pick, selected.picked || []);
      for (const { legend, whole } of series) {
        if (legend && isMarked(whole)) outline([legend[0] - 2, legend[1] - 2, legend[2] + 2, legend[3] + 2], marks, "cosai-picked");
      }
      for (const place of boxes) if (isMarked(place) && isShown(place)) outline(shown(place), marks, "cosai-picked");
    }

    function drawLight() {
      const color = light && light === light.one.whole && light.one.color;
      svg.classList.toggle("cosai-dimmed", Boolean(color));
      for (const part of svg.querySelectorAll(".data :is([fill], [stroke], [class])")) {
        const ink = /\bink-/.test(part.getAttribute("class")) && "currentColor";
        part.classList.toggle("cosai-kept", Boolean(color) && [part.getAttribute("fill"), part.getAttribute("stroke"), ink].includes(color));
      }
      drawMarks();
    }

    function drawSpan() {
      const chosen = marked ? snapped() : map.time && selected.span;
      shade.replaceChildren();
      if (!chosen) return;
      const [from, to] = chosen.map((ms) => clamp(shownX(placeOf(ms)), left, right));
      make("rect", { class: "cosai-shade", x: from, y: top, width: to - from, height: bottom - top }, shade);
    }

    function setView(next) {
      view = next;
      svg.classList.toggle("cosai-zoomed", isZoomed());
      button.classList.toggle("cosai-on", isZoomed());
      for (const data of svg.querySelectorAll(".data")) {
        const [, y, , height] = data.getAttribute("viewBox").split(" ");
        data.setAttribute("viewBox", `${view[0]} ${y} ${view[1] - view[0]} ${height}`);
        data.setAttribute("overflow", isZoomed() ? "hidden" : "visible");
        for (const part of data.querySelectorAll(":is(use[x], [data-x]):not([x='0'])")) { // marks and texts keep their shape
          const x = Number(part.dataset.x ?? part.getAttribute("x"));
          part.setAttribute("transform", `translate(${x} 0) scale(${1 / stretch()} 1) translate(${-x} 0)`);
        }
      }
      ticks.replaceChildren();
      if (isZoomed()) drawTicks();
      hide();
      drawMarks();
      drawSpan();
    }

    // ---- time, in the zone of the figure
    function clock(ms) {
      const [, minutes] = map.offsets.findLast(([from]) => from <= ms) || map.offsets[0];
      const local = ms + minutes * MINUTE;
      const text = new Date(local).toISOString();
      return { local, day: `${MONTHS[Number(text.slice(5, 7)) - 1]}-${text.slice(8, 10)}`, time: text.slice(11, 16) };
    }

    function drawTicks() {
      const [start, end] = view.map(timeAt);
      const step = STEPS.find((one) => one >= ((end - start) * TICK) / (right - left)) || STEPS.at(-1);
      let before = "", edge = -Infinity;
      for (let ms = start + ((step - (clock(start).local % step)) % step); ms <= end; ms += step) {
        const { day, time } = clock(ms);
        const x = shownX(placeOf(ms));
        make("line", { class: "cosai-tick", x1: x, x2: x, y1: bottom, y2: bottom + 3.5 }, ticks);
        const name = step >= DAY || (before && time === "00:00") ? day : day === before ? time : `${day} ${time}`;
        before = day;
        const wide = name.length * map.font * 0.58, from = clamp(x - wide / 2, left - 4, right + 4 - wide);
        if (from < edge) continue; // no room beside the name before
        make("text", { class: "ink-fill", x: from, y: bottom + 4.6 + map.font, "font-size": map.font }, ticks, name);
        edge = from + wide + 4;
      }
    }
    function snapped() {
      const start = Math.floor(Math.min(...marked) / map.snap) * map.snap;
      return [start, Math.max(Math.ceil(Math.max(...marked) / map.snap) * map.snap, start + map.snap)];
    }

    function mark(next, client) {
      marked = next;
      hide();
      drawSpan();
      if (!marked) return;
      const [start, end] = snapped().map(clock);
      tell(`${start.day} ${start.time} – ${start.day === end.day ? "" : `${end.day} `}${end.time}`, [], client);
    }

    // ---- what is asked for
    const emit = (name, detail) => host.dispatchEvent(new CustomEvent(`cosai:${name}`, { bubbles: true, cancelable: true, detail }));

    function take() {
      const [start, end] = snapped();
      mark(null);
      if (emit("span", { start, end })) for (const one of living) one.zoom(start, end);
    }

    function choose(target) {
      const { one, index, pick } = target;
      if (focus) lastRead.set(host, [focus.one.name, focus.index]);
      if (!emit("pick", { pick: pick || null, name: one.name, series: one.number, index })) return;
      light = light === target ? null : target;
      drawLight();
    }

    function clear() {
      mark(null);
      if (emit("clear", {})) for (const one of living) one.reset();
    }

    // ---- mouse, pen and finger
    const on = (target, name, act, capture = false) => target.addEventListener(name, act, { signal: ended.signal, capture });
    on(svg, "pointerdown", (event) => {
      const { x, y } = pointOf(event);
      if (!event.button) down = { x: placeAt(x), client: event.clientX, id: event.pointerId, drags: Boolean(map.time) && holds(map.box, x, y), dragged: false };
    });
    on(svg, "pointermove", (event) => {
      if (!down?.drags || event.pointerId !== down.id) return event.pointerType === "touch" || hover(event);
      if (!down.dragged && Math.abs(event.clientX - down.client) < DRAG) return null;
      svg.setPointerCapture(event.pointerId);
      down.dragged = true;
      return mark([timeAt(down.x), timeAt(placeAt(pointOf(event).x))], event);
    });
    on(svg, "pointerup", (event) => {
      if (event.pointerId !== down?.id) return null;
      const { dragged } = down;
      down = null;
      if (dragged) return marked && take();
      const { x, y } = pointOf(event);
      const target = targetAt({ x, y });
      const isShownOnly = event.pointerType === "touch" && holds(map.box, x, y, 2) && focus !== target;
      if (event.pointerType === "touch") hover(event);
      if (event.pointerType === "touch") focus = target; // a second tap there picks
      return target && !isShownOnly && choose(target);
    });
    on(svg, "pointercancel", () => { down = null; mark(null); });
    on(svg, "pointerleave", (event) => { if (!down && event.pointerType !== "touch") hide(); });
    on(svg, "dblclick", (event) => { if (light || isZoomed() || !targetAt(pointOf(event))) clear(); });
    on(button, "click", () => { clear(); host.focus(); });
    on(host, "blur", () => mark(null));
    on(document, "pointerdown", (event) => { if (!host.contains(event.target)) hide(); });
    on(document, "scroll", hide, true);

    // ---- keyboard: along a line and from one to the next; of boxes to the one beside
    function beside([dx, dy]) {
      const { places } = focus.one;
      const [x, y] = middle(focus);
      if (lines.length && dy) {
        const next = series[(series.indexOf(focus.one) + dy + series.length) % series.length];
        return least(next.places.filter(isShown), (place) => Math.abs(middle(place)[0] - x));
      }
      const along = (place) => (middle(place)[0] - x) * dx + (middle(place)[1] - y) * dy;
      const across = (place) => Math.abs((middle(place)[0] - x) * dy) + Math.abs((middle(place)[1] - y) * dx);
      const there = lines.length ? [] : boxes.filter((place) => along(place) > 0.5);
      return least(there, (place) => along(place) + 4 * across(place)) || places[places.indexOf(focus) + dx + dy];
    }

    on(host, "keydown", (event) => {
      if (event.target !== host || event.ctrlKey || event.metaKey || event.altKey) return;
      const arrow = ARROWS[event.key];
      const isHere = focus && isShown(focus);
      if (arrow?.[0] && event.shiftKey && map.time) {
        const steps = Math.floor(timeAt(isHere ? focus.box[0] : view[0]) / map.snap) + (arrow[0] < 0);
        const [from, to] = marked || [steps * map.snap, steps * map.snap];
        mark([from, clamp(to + arrow[0] * map.snap, ...map.time)], clientOf(shownX(placeOf(to)), (top + bottom) / 2));
      } else if (arrow && series.length) {
        mark(null);
        const next = isHere ? beside(arrow) : series[0].places.find(isShown);
        if (next && isShown(next)) focus = next;
        if (focus && isShown(focus)) readOut([focus], clientOf(...middle(focus)));
      } else if (event.key === "Enter" || event.key === " ") {
        if (marked) take();
        else if (focus) choose(focus.one.isLine ? focus.one.whole : focus);
      } else if (event.key === "Escape") marked ? mark(null) : clear();
      else return;
      event.preventDefault();
    });

    const figure = {
      show(next) {
        selected = { ...selected, ...next };
        drawMarks();
        drawSpan();
      },
      zoom(start, end) {
        const [from, to] = map.time ? [start, end].map((ms) => clamp(placeOf(ms), left, right)) : [0, 0];
        if (to > from) setView([from, to]);
      },
      reset() {
        light = null;
        drawLight();
        setView([left, right]);
      },
      destroy() {
        figure.reset();
        ended.abort();
        living.delete(figure);
        for (const made of [ticks, over, tip, status, button]) made.remove();
        host.classList.remove("cosai-overlay", "cosai-drags");
      },
    };
    living.add(figure);
    figure.show({});
    return figure;
  };
})();
