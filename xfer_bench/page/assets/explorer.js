// Items: which of them flip from one arm to another, and everything known of one.
{
  const NONE = 255;
  const STEPS = 200;
  const PAGE = 25;
  const ANY = "*";

  const { facts } = packed;
  const byId = (id) => document.getElementById(id);
  const form = byId("item-filter");
  const fields = form.elements;
  const nameOf = (code) => (facts.names[code] && facts.names[code] !== code ? `${facts.names[code]} (${code})` : code);

  // Every target, with the set of items that it is scored on.
  const targets = facts.benches.flatMap((bench, number) => bench.targets.map((own) => ({ ...own, bench, number })));
  const order = (one) => (one.bench.variant === "published" ? 1 : 0);
  targets.sort((one, other) => order(one) - order(other));

  let now = null; // the target shown: its items, labels and answers
  let found = [];
  let page = 0;
  let chosen = null;
  let asked = 0;

  const element = (tag, given = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (name === "text") made.textContent = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  };
  const fill = (select, options, wanted) => {
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    if (options.some(([value]) => value === wanted)) select.value = wanted;
  };
  const title = ({ bench, target, setting }) =>
    `${bench.task} ${bench.split}${bench.variant === "published" ? "" : `, ${bench.variant}`}` +
    `${target === bench.task ? "" : ` after ${target}`}, ${setting}`;

  const open = async (target) => {
    const [items, labels, answers] = await Promise.all([
      packed.text(`items-${target.number}`), packed.bytes(`labels-${target.number}`), packed.bytes(target.blob),
    ]);
    const { count } = target.bench;
    const depth = 1 + target.classes;
    const runs = target.runs.length;
    const at = (language, run, layer, item) => answers[((language * runs + run) * depth + layer) * count + item];
    return {
      target,
      bench: target.bench,
      items: items.split("\n"),
      texts: null,
      label: (language, item) => labels[language * count + item],
      prediction: (language, run, item) => at(language, run, 0, item),
      chance: (language, run, label, item) => at(language, run, 1 + label, item),
    };
  };

  // Runs of two arms with the same target seed, and the same intermediate seed where both have one.
  const pairs = (from, to) => {
    const { runs } = now.target;
    const numbered = runs.map((run, number) => ({ ...run, number }));
    const matches = (one, other) => one.target === other.target &&
      (one.intermediate === null || other.intermediate === null || one.intermediate === other.intermediate);
    return numbered.filter((run) => run.arm === from).flatMap((one) => numbered
      .filter((run) => run.arm === to && matches(one, run)).map((other) => [one.number, other.number]));
  };

  const KINDS = {
    up: (before, after) => !before && after,
    down: (before, after) => before && !after,
    either: (before, after) => before !== after,
    wrong: (before, after) => !before && !after,
    right: (before, after) => before && after,
  };

  const loadTexts = async () => {
    if (!facts.texts || now.texts) return;
    const { number, bench } = now.target;
    const own = now;
    own.texts = await Promise.all(bench.languages.map(async (_, place) =>
      JSON.parse(await packed.text(`texts-${number}-${place}`))));
  };
  const textOf = (language, item) => {
    const known = now.texts?.[language];
    if (!known || known.text[item] < 0) return null;
    return { text: known.strings[known.text[item]], candidates: known.candidates[item].map((one) => known.strings[one]) };
  };

  const search = async () => {
    const { bench } = now;
    const query = fields.query.value.trim().toLocaleLowerCase();
    if (query) await loadTexts();
    const languages = fields.language.value === ANY ? [...bench.languages.keys()] : [bench.languages.indexOf(fields.language.value)];
    const couples = pairs(fields.from.value, fields.to.value);
    const test = KINDS[fields.flip.value];
    const label = fields.label.value;
    const fits = (item) => now.items[item].toLocaleLowerCase() === query || languages.some((language) => {
      const own = textOf(language, item);
      return own && [own.text, ...own.candidates].some((text) => text.toLocaleLowerCase().includes(query));
    });
    found = [];
    for (let item = 0; item < bench.count; item += 1) {
      let [count, all] = [0, 0];
      let labelled = label === "";
      for (const language of languages) {
        const right = now.label(language, item);
        if (right === NONE) continue;
        labelled ||= String(right) === label;
        for (const [from, to] of couples) {
          const before = now.prediction(language, from, item);
          const after = now.prediction(language, to, item);
          if (before === NONE || after === NONE) continue;
          all += 1;
          if (test && test(before === right, after === right)) count += 1;
        }
      }
      if (labelled && (!test || count > 0) && (!query || fits(item))) found.push({ item, count, all });
    }
    const exact = ({ item }) => now.items[item].toLocaleLowerCase() === query;
    const share = ({ count, all }) => (test && all ? count / all : 0);
    found.sort((one, other) => exact(other) - exact(one) || share(other) - share(one) || one.item - other.item);
    const number = (value, one, many) => `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
    const counted = `${found.length.toLocaleString("en")} of ${number(bench.count, "item", "items")}`;
    const over = `${number(couples.length, "pair", "pairs")} of runs in ${number(languages.length, "language", "languages")}`;
    byId("item-count").textContent = !test ? counted : couples.length
      ? `${counted}, over ${over}; those that show it most often first`
      : "These two arms have no runs with the same target seed.";
    page = 0;
    list();
  };

  const snippet = (item) => {
    const place = fields.language.value === ANY ? Math.max(0, now.bench.languages.indexOf("en")) :
      now.bench.languages.indexOf(fields.language.value);
    return textOf(place, item)?.text ?? "";
  };

  const list = () => {
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    byId("item-list").replaceChildren(...shown.map(({ item, count, all }) => {
      const button = element("button", { type: "button" },
        element("span", { class: "flips", text: KINDS[fields.flip.value] ? `${count} of ${all}` : "" }),
        element("strong", { text: `Item ${now.items[item]}` }), element("span", { class: "snippet", text: snippet(item) }));
      if (item === chosen) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => show(item, button));
      return element("li", {}, button);
    }));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    byId("items-page").textContent = `Page ${page + 1} of ${pages}`;
    byId("items-before").disabled = page === 0;
    byId("items-after").disabled = page + 1 >= pages;
  };

  const labelName = (label) => (label === NONE ? "–" : now.bench.labels[label] ?? `choice ${label + 1}`);
  // The names of classes are long, and stand in full beside each answer.
  const shortName = (label) => (now.bench.labels.length
    ? element("abbr", { title: labelName(label), text: `${labelName(label).slice(0, 3)}.` }) : labelName(label));
  const percent = (steps) => (steps === NONE ? "" : `${(100 * steps / STEPS).toFixed(1)}%`);

  // One table a language: a row for each arm and seed, a column for each answer.
  const answersOf = (language, item) => {
    const right = now.label(language, item);
    const known = textOf(language, item);
    const width = known && !now.bench.labels.length ? known.candidates.length : now.target.classes;
    const labels = Array.from({ length: width }, (_, label) => label);
    const head = element("tr", {}, element("th", { scope: "col", text: "arm" }), element("th", { scope: "col", text: "seeds" }),
      element("th", { scope: "col", text: "answer" }),
      ...labels.map((label) => element("th", { scope: "col", class: "number" }, shortName(label))));
    const rows = now.target.runs.map((run, number) => {
      const prediction = now.prediction(language, number, item);
      if (prediction === NONE) return null;
      const seeds = [run.intermediate, run.target].filter((seed) => seed !== null).join("/");
      return element("tr", {}, element("th", { scope: "row", text: run.arm, title: run.run }), element("td", { text: seeds }),
        element("td", { class: prediction === right ? "good" : "bad", text: `${prediction === right ? "✓" : "✗"} ${labelName(prediction)}` }),
        ...labels.map((label) => element("td", { class: "number", text: percent(now.chance(language, number, label, item)) })));
    }).filter(Boolean);
    const name = `Answers in ${nameOf(now.bench.languages[language])}`;
    return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": name },
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
  };

  const tongue = (language, item) => {
    const code = now.bench.languages[language];
    const right = now.label(language, item);
    const known = textOf(language, item);
    const card = element("section", { class: "tongue", "aria-label": nameOf(code) },
      element("h4", { text: nameOf(code) }, element("span", { class: "aside", text: `label: ${labelName(right)}` })));
    if (known) {
      card.append(element("p", { class: "text", lang: code, dir: "auto", text: known.text }));
      const single = now.bench.labels.length > 0;
      card.append(element("ul", { class: "candidates" }, ...known.candidates.map((text, place) =>
        element("li", { lang: code, dir: "auto", class: !single && place === right ? "right" : "", text }))));
    }
    card.append(answersOf(language, item));
    return card;
  };

  const show = async (item, button) => {
    chosen = item;
    for (const other of byId("item-list").querySelectorAll("button")) other.removeAttribute("aria-current");
    button?.setAttribute("aria-current", "true");
    await loadTexts();
    const { bench } = now;
    const own = bench.languages.map((_, language) => language).filter((language) => now.label(language, item) !== NONE);
    // The language asked for first, then English.
    const rank = (language) => [fields.language.value, "en"].indexOf(bench.languages[language]) >>> 0;
    const cards = own.sort((one, other) => rank(one) - rank(other)).map((language) => tongue(language, item));
    byId("item").replaceChildren(
      element("h3", { text: `Item ${now.items[item]} of ${title(now.target)}` }), element("div", { class: "tongues" }, ...cards));
    byId("item").focus({ preventScroll: true });
    if (button && matchMedia("(max-width: 48rem)").matches) byId("item").scrollIntoView();
  };

  const choose = async () => {
    const target = targets[Number(fields.target.value)];
    const turn = asked += 1;
    const opened = await open(target);
    if (turn !== asked) return;
    now = opened;
    chosen = null;
    const arms = [...new Set(target.runs.map((run) => run.arm))];
    const options = arms.map((arm) => [arm, arm]);
    fill(fields.from, options, arms.includes(fields.from.value) ? fields.from.value : facts.baseline);
    fill(fields.to, options, arms.includes(fields.to.value) && fields.to.value !== fields.from.value
      ? fields.to.value : arms.find((arm) => arm !== fields.from.value));
    fill(fields.language, [[ANY, "any"], ...target.bench.languages.map((code) => [code, nameOf(code)])], fields.language.value);
    const several = target.bench.labels.length ? target.bench.labels.length : target.classes;
    fill(fields.label, [["", "any"], ...Array.from({ length: several }, (_, label) => [String(label), labelName(label)])], "");
    byId("item").replaceChildren(element("p", { class: "aside", text: "Choose an item from the list." }));
    await search();
    await loadTexts();
    if (facts.texts && now === opened) list();
  };

  const turn = (by) => { page += by; list(); byId("item-list").scrollTop = 0; };
  byId("items-before").addEventListener("click", () => turn(-1));
  byId("items-after").addEventListener("click", () => turn(1));
  form.addEventListener("submit", (event) => event.preventDefault());
  // The words searched for tell of each letter by themselves; a change on leaving them would move what is being clicked.
  const changed = { target: choose, query: () => {} };
  form.addEventListener("change", (event) => (changed[event.target.name] ?? search)());
  fields.query.addEventListener("input", search);
  fill(fields.target, targets.map((target, place) => [String(place), title(target)]), "0");
  form.hidden = false;
  document.querySelector(".explorer").hidden = false;
  // After the first paint: nobody waits for the items.
  if (targets.length) requestAnimationFrame(() => setTimeout(choose, 0));
}
