"use strict";

// Without this script the page is whole, but for sorting, filtering and the choice of colours.

// Words by their letters, the numbers in them by their values: hidden_size=9 before 10, dropout=0.05 before 0.1.
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
    if (a === null || b === null) return (a === null) - (b === null); // blanks last, whichever way
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
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    paragraph.querySelector("output").textContent = `${shown} of ${rows.length}`;
  });
}

function openTarget(hash) {
  const target = hash && document.getElementById(hash.slice(1));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}
window.addEventListener("hashchange", () => openTarget(location.hash));
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
