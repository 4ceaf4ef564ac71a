"use strict";
// Points at a trial in one figure, table or title, and shows the same trial in all of them.
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const tip = document.getElementById("tip");
  const places = new Map();
  for (const mark of document.querySelectorAll("[data-trial]")) {
    const trial = mark.dataset.trial;
    if (!places.has(trial)) places.set(trial, []);
    places.get(trial).push(mark);
  }
  let current = null;
  let kept = false;

  function list(names, texts) {
    const lines = document.createElement("dl");
    names.forEach((name, index) => {
      if (texts[index] === null) return;
      lines.append(element("dt", name), element("dd", texts[index]));
    });
    return lines;
  }

  function element(tag, text) {
    const made = document.createElement(tag);
    made.textContent = text;
    return made;
  }

  function ring(mark) {
    const box = mark.getBBox();
    const around = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const small = Math.max(box.width, box.height) < 30;
    const side = small ? Math.max(box.width, box.height) + 8 : 0;
    const width = small ? side : box.width;
    const height = small ? side : box.height;
    const sizes = {
      x: box.x + (box.width - width) / 2, y: box.y + (box.height - height) / 2, width, height, rx: small ? side / 2 : 1,
    };
    for (const [name, value] of Object.entries(sizes)) around.setAttribute(name, value);
    around.classList.add("ring");
    mark.ownerSVGElement.append(around);
  }

  function clear() {
    for (const old of document.querySelectorAll(".ring")) old.remove();
    for (const old of document.querySelectorAll(".hot")) old.classList.remove("hot");
    tip.hidden = true;
    current = null;
    kept = false;
  }

  function show(trial) {
    if (trial !== current) {
      clear();
      current = trial;
      for (const mark of places.get(trial)) {
        if (mark.ownerSVGElement) ring(mark);
        else mark.classList.add("hot");
      }
      const told = facts.trials[trial];
      tip.replaceChildren(element("b", "trial " + trial));
      if (told) tip.append(list(facts.names, told[0]), list(facts.choices, told[1]));
    }
    tip.hidden = false;
  }

  function move(x, y) {
    const box = tip.getBoundingClientRect();
    const right = x + 18 + box.width > innerWidth ? x - 18 - box.width : x + 18;
    tip.style.left = Math.max(4, right) + "px";
    tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - box.height - 6)) + "px";
  }

  const marked = (event) => (event.target instanceof Element ? event.target.closest("[data-trial]") : null);

  document.addEventListener("mouseover", (event) => {
    const mark = marked(event);
    if (kept) return;
    if (mark === null) return clear();
    show(mark.dataset.trial);
    move(event.clientX, event.clientY);
  });
  document.addEventListener("mousemove", (event) => {
    if (!kept && marked(event)) move(event.clientX, event.clientY);
  });
  document.addEventListener("click", (event) => {
    const mark = marked(event);
    const before = current;
    const pinned = kept;
    clear();
    if (mark === null || (pinned && before === mark.dataset.trial)) return;
    show(mark.dataset.trial);
    move(event.clientX, event.clientY);
    kept = true;
  });
  document.addEventListener("focusin", (event) => {
    const mark = marked(event);
    if (mark === null || kept) return;
    show(mark.dataset.trial);
    const box = mark.getBoundingClientRect();
    move(box.right - 30, box.bottom);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
  });
  addEventListener("beforeprint", clear);
})();
