"use strict";
// The theme, and the table of every trial: filter, sort, pages, CSV; its state is the address's #.
const PAGE = 100;
const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const table = find("all");
const state = { q: "", sort: "", page: 1 };

function number(value, { whole, digits }) {
  if (value === 0) return "0";
  if (whole && Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e7) return value.toExponential(1).replace("e+", "e");
  return Number(value.toPrecision(digits)).toLocaleString("en", { minimumSignificantDigits: digits, maximumSignificantDigits: 6 });
}

function text(value, column) {
  if (!column.scales) return value;
  if (value === null) return "–";
  const suits = ([factor]) => Math.abs(value) >= factor || (value === 0 && factor === 1);
  const scale = column.scales.find(suits) || column.scales.at(-1);
  return number(value / scale[0], column) + scale[1];
}

const COMPARE = {
  "=": (a, b) => a === b, "!=": (a, b) => a !== b, ">": (a, b) => a > b,
  "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
};

function test(term) {
  const parts = term.match(/^(\w+)(>=|<=|!=|=|>|<)(.+)$/);
  const place = parts ? data.columns.findIndex((c) => [c.alias, c.key].some((n) => n.toLowerCase() === parts[1].toLowerCase())) : -1;
  if (place < 0) {
    const word = term.toLowerCase();
    return (row) => row.some((value) => String(value ?? "").toLowerCase().includes(word));
  }
  const compare = COMPARE[parts[2]];
  if (data.columns[place].scales) return (row) => row[place] !== null && compare(row[place], Number(parts[3]));
  return (row) => compare(row[place].toLowerCase(), parts[3].toLowerCase());
}

function view() {
  const tests = state.q.split(/\s+/).filter(Boolean).map(test);
  const rows = data.rows.filter((row) => tests.every((passes) => passes(row)));
  const place = data.columns.findIndex((c) => c.alias === state.sort.replace(/^-/, ""));
  if (place < 0) return rows;
  const sign = state.sort.startsWith("-") ? -1 : 1;
  const order = new Intl.Collator("en", { numeric: true });
  return rows.sort((a, b) => {
    const [x, y] = [a[place], b[place]];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "number" ? x - y : order.compare(x, y));
  });
}

function draw() {
  const rows = view();
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  state.page = Math.min(Math.max(1, state.page), pages);
  const body = document.createElement("tbody");
  for (const row of rows.slice((state.page - 1) * PAGE, state.page * PAGE)) {
    const line = body.insertRow();
    data.columns.forEach((column, place) => {
      const cell = line.insertCell();
      cell.textContent = text(row[place], column);
      if (column.scales) cell.className = "n";
      else if (column.key === "reason") cell.className = "long";
    });
  }
  table.tBodies[0].replaceWith(body);
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    const { alias } = data.columns[place];
    const sorted = state.sort === alias ? "ascending" : state.sort === `-${alias}` ? "descending" : "none";
    head.setAttribute("aria-sort", sorted);
    head.firstChild.textContent = data.columns[place].heading + { ascending: " ↑", descending: " ↓", none: "" }[sorted];
  });
  find("matches").textContent = `${rows.length.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")}`;
  find("page").textContent = `page ${state.page} of ${pages}`;
  find("before").disabled = state.page === 1;
  find("after").disabled = state.page === pages;
}

function change(changes) {
  Object.assign(state, changes);
  const kept = Object.entries(state).filter(([name, value]) => value && !(name === "page" && value === 1));
  history.replaceState(null, "", kept.length ? `#${new URLSearchParams(kept)}` : "#trials");
  draw();
}

function restore() {
  const hash = location.hash.slice(1);
  if (!hash.includes("=")) return false;
  const found = new URLSearchParams(hash);
  Object.assign(state, { q: found.get("q") || "", sort: found.get("sort") || "", page: Number(found.get("page")) || 1 });
  find("filter").value = state.q;
  return true;
}

function save() {
  const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  const lines = [data.columns.map((column) => column.key), ...view()].map((row) => row.map(quoted).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  link.download = "trials.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

function theme(chosen) {
  const root = document.documentElement;
  if (chosen === "auto") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", chosen);
  find("theme").textContent = `theme: ${chosen}`;
}

function remembered() {
  try { return localStorage.getItem("bptt-theme") || "auto"; } catch { return "auto"; } // storage may be barred
}

find("theme").addEventListener("click", () => {
  const order = ["auto", "light", "dark"];
  const now = document.documentElement.getAttribute("data-theme") || "auto";
  const next = order[(order.indexOf(now) + 1) % order.length];
  theme(next);
  try { localStorage.setItem("bptt-theme", next); } catch { /* it holds for this visit */ }
});
find("filter").addEventListener("input", (event) => change({ q: event.target.value, page: 1 }));
find("before").addEventListener("click", () => change({ page: state.page - 1 }));
find("after").addEventListener("click", () => change({ page: state.page + 1 }));
find("csv").addEventListener("click", save);
[...table.tHead.rows[0].cells].forEach((head, place) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  const { alias } = data.columns[place];
  button.addEventListener("click", () => change({ sort: state.sort === alias ? `-${alias}` : alias, page: 1 }));
});
for (const hidden of document.querySelectorAll("[hidden]")) hidden.hidden = false;
for (const unscripted of document.querySelectorAll(".unscripted")) unscripted.remove();
window.addEventListener("hashchange", () => { if (restore()) draw(); });
theme(remembered());
if (restore()) find("trials").scrollIntoView();
draw();
