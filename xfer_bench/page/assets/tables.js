"use strict";
// Tables: sorting by their heads, and filters of languages, targets and arms.
{
  const announce = (form, text) => { form.querySelector(".status").textContent = text; };

  const valueOf = (row, place) => {
    const cell = row.cells[place];
    const given = cell.dataset.value ?? cell.textContent.trim();
    const number = given === "" ? NaN : Number(given);
    return Number.isNaN(number) ? given : number;
  };

  // Numbers before words, and what is empty last, whichever way is up.
  const compare = (one, other, sign) => {
    if (one === "" || other === "") return (one === "") - (other === "");
    if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
    return sign * (typeof one === "number" ? one - other : one.localeCompare(other));
  };

  const sort = (table, head) => {
    const place = head.cellIndex;
    const descending = head.getAttribute("aria-sort") === "descending" ||
      (head.getAttribute("aria-sort") === null && head.classList.contains("number"));
    const down = head.hasAttribute("aria-sort") ? !descending : descending;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [valueOf(row, place), row]);
    rows.sort(([one], [other]) => compare(one, other, down ? -1 : 1));
    body.append(...rows.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    for (const head of table.tHead.rows[0].cells) {
      if (head.hasAttribute("data-plain")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head));
    }
  }

  const languages = document.getElementById("language-filter");
  const comparisons = document.getElementById("comparison-filter");
  const boxes = [...languages.querySelectorAll("input")];

  const filter = () => {
    const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    for (const cell of document.querySelectorAll("table.matrix [data-language]")) {
      cell.hidden = !shown.has(cell.dataset.language);
    }
    announce(languages, `${shown.size} of ${boxes.length} shown`);
    const { target, arm } = comparisons.elements;
    const rows = document.querySelectorAll("table.comparisons tbody tr");
    let count = 0;
    for (const row of rows) {
      row.hidden = !shown.has(row.dataset.language) || (target.value && row.dataset.target !== target.value) ||
        (arm.value && row.dataset.arm !== arm.value);
      count += !row.hidden;
    }
    announce(comparisons, `${count} of ${rows.length} comparisons`);
  };

  languages.addEventListener("change", filter);
  comparisons.addEventListener("change", filter);
  for (const button of languages.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const wanted = button.dataset.show;
      for (const box of boxes) box.checked = wanted === "all" || box.dataset.kind === wanted;
      filter();
    });
  }
  for (const form of [languages, comparisons]) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  filter();

  // On paper nothing can be opened.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
}
