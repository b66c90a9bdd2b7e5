"use strict";

// Without this script the page lacks only sorting, filtering, values of curves and the choice of colours.

// Compare words by their letters and the numbers in them by their values: hidden_size=9 comes before 10.
function byParts(a, b) {
  const [left, right] = [a, b].map((text) => String(text).split(/(\d+(?:\.\d+)?(?:e[+-]?\d+)?)/i));
  for (let number = 0; number < Math.min(left.length, right.length); number++) {
    const [x, y] = [left[number], right[number]];
    const order = number % 2 ? x - y : x.localeCompare(y, "en");
    if (order) return order;
  }
  return left.length - right.length;
}

function sortBy(table, column, ascending) {
  const body = table.tBodies[0];
  const value = (row) => {
    const cell = row.cells[column];
    const given = cell.tagName === "TH" ? cell.textContent.trim() : cell.dataset.value;
    return given === undefined || given === "" ? null : isNaN(given) ? given : Number(given);
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null); // blanks last in either order
    const both = typeof a === "number" && typeof b === "number";
    const order = both ? a - b : byParts(a, b);
    return ascending ? order : -order;
  };
  const rows = Array.from(body.rows, (row) => [value(row), row]);
  rows.sort((a, b) => compare(a[0], b[0]));
  body.append(...rows.map(([, row]) => row));
  Array.from(table.tHead.rows[0].cells).forEach((head, number) => {
    head.setAttribute("aria-sort", number !== column ? "none" : ascending ? "ascending" : "descending");
  });
}

for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sortBy(table, column, head.getAttribute("aria-sort") !== "ascending"));
  });
}

for (const input of document.querySelectorAll("input[data-filter]")) {
  const paragraph = input.closest(".filter");
  const rows = Array.from(document.getElementById(input.dataset.filter).tBodies[0].rows);
  paragraph.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = `${row.dataset.label} ${row.textContent}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    paragraph.querySelector("output").textContent = `${shown} of ${rows.length}`;
  });
}

// Add a hint to a table that is wider than its place, and shade the side with more columns.
const boxes = Array.from(document.querySelectorAll(".wide"), (wide) => {
  const hint = document.createElement("p");
  hint.className = "hint";
  wide.after(hint);
  const scroll = wide.querySelector(".scroll");
  const update = () => {
    const left = scroll.scrollLeft > 1;
    const right = scroll.scrollLeft + scroll.clientWidth < scroll.scrollWidth - 1;
    wide.classList.toggle("more-left", left);
    wide.classList.toggle("more-right", right);
    hint.hidden = !left && !right;
    hint.textContent = right ? "More columns to the right: scroll the table \u2192" : "\u2190 more columns to the left";
  };
  scroll.addEventListener("scroll", update, { passive: true });
  update();
  return update;
});
const updateAll = () => boxes.forEach((update) => update());
window.addEventListener("resize", updateAll);
document.addEventListener("toggle", updateAll, true); // a table in closed details has no width

// Show the values of the point nearest to the pointer. data-points has the points and the edges of the axes.
const tip = document.getElementById("tip");
const mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
mark.setAttribute("r", "3.5");
mark.setAttribute("fill", "none");
mark.setAttribute("stroke", "currentColor");

function place(axis, value) {
  const scale = axis.log ? Math.log : (number) => number;
  const [low, high] = axis.span.map(scale);
  return axis.points[0] + ((scale(value) - low) / (high - low)) * (axis.points[1] - axis.points[0]);
}

function spread(svg) {
  const data = JSON.parse(svg.dataset.points);
  return data.curves.flatMap(({ label, points }) =>
    points.map(([step, mean, deviation]) => ({
      x: place(data.axes.x, step), y: place(data.axes.y, mean), step, mean, deviation, label, unit: data.axes.x.unit,
    })));
}

const spreads = new WeakMap();
function showValues(event) {
  const svg = event.currentTarget;
  if (!spreads.has(svg)) spreads.set(svg, spread(svg));
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  let nearest = null;
  let least = 30; // points of the figure; a farther point is not meant
  for (const point of spreads.get(svg)) {
    const distance = Math.hypot(point.x - at.x, point.y - at.y);
    if (distance < least) [nearest, least] = [point, distance];
  }
  if (!nearest) return hide();
  mark.setAttribute("cx", nearest.x);
  mark.setAttribute("cy", nearest.y);
  svg.append(mark);
  const deviation = nearest.deviation ? ` \u00b1 ${Number(nearest.deviation.toPrecision(2))}` : "";
  tip.textContent = `${nearest.label}, ${nearest.unit} ${nearest.step.toLocaleString("en")}: ${nearest.mean}${deviation}`;
  tip.hidden = false;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(0, Math.min(event.pageX + 12, room))}px`;
  tip.style.top = `${event.pageY + 16}px`;
}

function hide() {
  tip.hidden = true;
  mark.remove();
}

for (const svg of document.querySelectorAll("svg[data-points]")) {
  for (const name of ["pointermove", "pointerdown"]) svg.addEventListener(name, showValues);
  svg.addEventListener("pointerleave", hide);
}

function openTarget(hash) {
  const target = hash && document.getElementById(hash.slice(1));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}
window.addEventListener("hashchange", () => openTarget(location.hash));

// A field of a matrix shows its curve above the page: the focus goes there, and Escape closes it.
window.addEventListener("hashchange", () => {
  const target = document.querySelector(":target");
  if (target && target.matches(".field, .map td a")) target.focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  const shown = document.querySelector(".field:target");
  if (event.key === "Escape" && shown) location.hash = `${shown.id}-field`;
});
for (const link of document.querySelectorAll('tbody a[href^="#"]')) {
  link.addEventListener("click", () => openTarget(link.hash)); // also where the hash stays the same
}
openTarget(location.hash);

const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
