// The page of `mcsdr serve`: drop clips, read posteriors. Plain modules, no other host, nothing kept when it closes.
//
//   file --POST--> job --events--> view (plain data of serve/views.py) --fill()--> a card
//
// A card is cloned from the templates of index.html and filled with text; only the two drawings, which the service
// makes itself, are markup.

import { player } from "/page/player.js";

const API = "/api/v1";
const STATES = { waiting: [0, "waiting in line"], reading: [1, "reading the clip"], encoding: [2, "encoding and sampling"] };
const FILES = [["report.pdf", "PDF"], ["report.html", "HTML report"], ["result.json", "JSON"], ["result.csv", "CSV"],
  ["report.dcm", "DICOM SR"], ["observation.json", "FHIR"]];
const exams = new Map(); // id of the job -> {card, name, view}
const one = (root, selector) => root.querySelector(selector);
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const clone = (id) => document.getElementById(id).content.cloneNode(true);
const wholePercent = (p) => Math.floor((Math.round(10000 * p) + 50) / 100); // as mcsdr.posterior.categories rounds
const percent = (p) => { const whole = wholePercent(p); return whole <= 0 ? "<1 %" : whole >= 100 ? ">99 %" : `${whole} %`; };
const equals = (p) => (/^[<>]/.test(percent(p)) ? percent(p).replace(/^(.)/, "$1 ") : `= ${percent(p)}`);
const say = (text) => { document.getElementById("status").textContent = text; };

// --- the service ---

const token = (() => { // a service for others is opened as http://host:port/#token=…; the token leaves the address bar at once
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) { sessionStorage.setItem("token", given); history.replaceState(null, "", location.pathname); }
  return given ?? sessionStorage.getItem("token");
})();

async function call(path, options = {}) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let response;
  try { response = await fetch(API + path, { ...options, headers }); }
  catch (error) {
    if (error.name === "AbortError") throw error;
    throw { code: "no-service", cause: "The service cannot be reached.", next_step: "Check that mcsdr serve still runs." };
  }
  if (!response.ok) {
    const said = await response.json().catch(() => ({}));
    const detail = said.error ?? { code: `http-${response.status}`, cause: wordsOf(said), next_step: "Correct it and try again." };
    throw { ...detail, retry_s: Number(response.headers.get("retry-after")) };
  }
  return response;
}

const wordsOf = (said) => Array.isArray(said.detail)
  ? said.detail.map((d) => `${d.loc?.at(-1)}: ${d.msg}`).join("; ") : "The service refused this.";

async function* events(id, signal) { // server-sent events by fetch, which can carry the token
  const reader = (await call(`/jobs/${id}/events`, { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) yield JSON.parse(block.split("\ndata: ")[1]);
  }
}

// --- from a file to a card ---

async function take(file, extra = {}, place = null) {
  const card = one(clone("exam"), "article");
  const same = [...document.querySelectorAll(".exam h2")].filter((title) => title.dataset.file === file.name).length;
  const called = same ? `${file.name} (${same + 1})` : file.name; // two files of one name are told apart
  one(card, "h2").textContent = called;
  one(card, "h2").dataset.file = file.name;
  const exam = { card, name: file.name, called, file, stop: new AbortController() };
  one(card, ".remove").addEventListener("click", () => remove(exam));
  place ? place.replaceWith(card) : document.getElementById("exams").prepend(card);
  try {
    exam.id = (await send(file, extra, exam)).id;
    exams.set(exam.id, exam);
    for await (const job of events(exam.id, exam.stop.signal)) progress(exam, job.state);
    show(exam, await (await call(`/jobs/${exam.id}/view`)).json());
  } catch (error) {
    if (error.name !== "AbortError") show(exam, { kind: "failure", name: file.name, record: { error } });
  }
}

async function send(file, extra, exam) { // a full line is waited for, as the service asks
  const query = new URLSearchParams({ name: file.name.slice(-200), ...extra });
  for (let attempt = 0; ; attempt += 1) {
    try {
      const request = { method: "POST", body: file, signal: exam.stop.signal, headers: { "Content-Type": "application/octet-stream" } };
      return await (await call(`/clips?${query}`, request)).json();
    } catch (error) {
      if (error.code !== "line-is-full" || attempt >= 20) throw error;
      one(exam.card, ".state").textContent = "waiting for room in the line";
      await new Promise((resolve) => setTimeout(resolve, 1000 * (error.retry_s || 2)));
    }
  }
}

function progress(exam, state) {
  const [value, words] = STATES[state] ?? [3, state];
  one(exam.card, "progress").value = value;
  one(exam.card, ".state").textContent = words;
}

function remove(exam) {
  exam.stop.abort();
  exam.stopLoop?.();
  if (exam.id) { exams.delete(exam.id); call(`/jobs/${exam.id}`, { method: "DELETE" }).catch(() => {}); }
  exam.card.remove();
  offerComparison();
  document.getElementById("files").focus();
}

// --- cards ---

function show(exam, view) {
  const outcome = one(exam.card, ".outcome");
  exam.view = view;
  one(exam.card, ".progress").hidden = true;
  outcome.hidden = false;
  exam.card.classList.toggle("refused", view.kind !== "answer");
  if (view.kind === "failure") {
    outcome.replaceChildren(clone("failure"));
    fillFailure(exam, outcome, view.record.error);
    say(`${exam.name}: no answer was given. ${view.record.error.cause}`);
  } else {
    if (!exam.shell) { // the shell stays while answers change, so that the loop runs on and the focus keeps its place
      outcome.replaceChildren(clone("answer"));
      exam.shell = outcome;
      furnish(exam);
    }
    fill(exam, view);
    say(`${exam.name}: ${view.headline ?? view.record.abstained.reason}`);
  }
  offerComparison();
}

function fillFailure(exam, root, error) {
  one(root, ".cause").textContent = error.cause;
  one(root, ".next").textContent = error.next_step ?? "";
  one(root, ".code").textContent = error.code;
  if (error.code !== "no-frame-time") return;
  const form = one(root, ".rate");
  form.hidden = false;
  one(root, ".next").textContent = "Say how many frames it shows a second.";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const place = make("div");
    exam.card.before(place);
    const rate = form.frame_rate.value;
    remove(exam);
    take(exam.file, { frame_rate: rate }, place);
  });
}

function furnish(exam) { // what is made once: the loop, the form, the threshold, the downloads
  const root = exam.shell, form = one(root, ".patient form"), known = exam.view.record.attributes;
  for (const [field, key] of [["age", "age_years"], ["sex", "sex"], ["weight", "weight_kg"], ["height", "height_cm"]])
    form[field].value = known[key] ?? "";
  let due;
  form.addEventListener("input", () => { clearTimeout(due); due = setTimeout(() => revise(exam), 120); });
  form.addEventListener("submit", (event) => event.preventDefault());
  one(root, ".insist").addEventListener("click", () => { exam.anyway = true; revise(exam); });
  one(root, ".threshold input").addEventListener("input", () => moveThreshold(exam));
  player(root, exam, async (path) => (await call(`/jobs/${exam.id}/${path}`)));
  one(root, ".downloads").replaceChildren(...FILES.map(([name, words]) => {
    const button = make("button", { type: "button", "data-file": name }, words);
    button.addEventListener("click", () => download(exam, name, button));
    return button;
  }));
  if (!/\.(dcm|dicom)$/i.test(exam.name) && /\.[a-z0-9]{2,4}$/i.test(exam.name))
    one(root, '[data-file="report.dcm"]').hidden = true; // a structured report needs a DICOM clip to refer to
}

async function revise(exam) {
  const form = one(exam.shell, ".patient form"), wrong = one(exam.shell, ".wrong");
  wrong.textContent = "";
  const invalid = [...form.elements].find((field) => !field.checkValidity());
  if (invalid) { wrong.textContent = `${invalid.closest("label").firstChild.textContent.trim()}: ${invalid.validationMessage}`; return; }
  const number = (name) => (form[name].value === "" ? null : Number(form[name].value));
  const known = { age: number("age"), sex: form.sex.value || null, weight: number("weight"), height: number("height"),
    threshold: number("threshold"), anyway: Boolean(exam.anyway) };
  const turn = exam.turn = (exam.turn ?? 0) + 1;
  try {
    await call(`/jobs/${exam.id}`, { method: "PATCH", body: JSON.stringify(known), headers: { "Content-Type": "application/json" } });
    const view = await (await call(`/jobs/${exam.id}/view`)).json();
    if (turn === exam.turn) show(exam, view); // an older answer never overtakes a newer one
  } catch (error) { wrong.textContent = `${error.cause ?? error} ${error.next_step ?? ""}`; }
}

function fill(exam, view) {
  const root = exam.shell, answered = view.kind === "answer", why = view.record.abstained;
  const insisted = one(root, ".insisted");
  insisted.hidden = !view.insisted;
  one(insisted, "strong").textContent = view.insisted ?? "";
  one(exam.card, ".title .about").textContent = `${view.about}; SHA-256 ${(view.record.input_sha256 ?? "").slice(0, 8)}…`;
  one(root, ".heart").hidden = !view.heart;
  one(root, ".heart").textContent = view.heart ?? "";
  one(root, ".headline").textContent = answered ? view.headline : `No answer: ${why.reason}`;
  one(root, ".abstained").hidden = answered;
  if (!answered) one(root, ".abstained .next").replaceChildren(why.next_step, " ", make("code", {}, why.code));
  one(root, ".notices").replaceChildren(...view.notices.map((n) => make("li", {}, `⚠ ${n.text} `, make("code", {}, n.code))));
  one(root, ".checks").replaceChildren(...view.checks.map(check));
  one(root, ".reasons").replaceChildren(...view.reasons.map(([name, text]) => row(name, text)));
  for (const part of [".belief", ".quantiles"]) one(root, part).hidden = !answered;
  one(root, ".settling").hidden = !answered || !view.settling;
  one(root, ".beats").hidden = !answered || !view.record.beats.length;
  if (answered) fillBelief(exam, view);
}

const row = (name, ...cells) => make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((cell) => make("td", {}, cell)));

function check({ name, text, ok }) {
  const [sign, words, kind] = ok === null ? ["?", "not known", "open"] : ok ? ["✓", "in order", "fine"] : ["✗", "not in order", "bad"];
  return make("li", { class: kind }, make("span", { class: "sign", "aria-hidden": "true" }, sign),
    make("span", { class: "name" }, name), make("span", {}, text, make("span", { class: "away" }, `, ${words}`)));
}

function fillBelief(exam, view) {
  const root = exam.shell;
  one(root, ".dots .plot").innerHTML = view.dotplot;
  one(root, ".categories").replaceChildren(...view.categories.flatMap((c) => [
    make("tr", {}, make("th", { scope: "row" }, `${c.name} `, make("span", { class: "band" }, c.band)), make("td", {}, c.inequality), make("td", {}, c.said)),
    bar(c)]));
  one(root, ".singles").replaceChildren(...view.thresholds.map(([inequality, meaning, p]) => row(inequality, meaning, p)));
  one(root, ".society").textContent = `${view.society}. The names of the categories apply only where heart failure is diagnosed.`;
  fillBands(exam);
  const quantiles = Object.entries(view.record.quantiles);
  one(root, ".quantiles thead tr").replaceChildren(make("th", { scope: "col" }, "Share"), ...quantiles.map(([q]) => make("th", { scope: "col" }, `${+(100 * q).toFixed(1)} %`)));
  one(root, ".quantiles tbody tr").replaceChildren(make("th", { scope: "row" }, "EF, %"), ...quantiles.map(([, ef]) => make("td", {}, ef.toFixed(1))));
  one(root, ".beats .line").textContent = view.beats_line ?? "";
  one(root, ".beats tbody").replaceChildren(...view.record.beats.map((b) =>
    make("tr", {}, make("td", {}, b.start_s.toFixed(2)), make("td", {}, b.median.toFixed(0)), make("td", {}, b.interval_90.map((e) => e.toFixed(0)).join(" to ")))));
  one(root, ".settling .plot").innerHTML = view.settling;
  one(root, ".settling tbody").replaceChildren(...view.settling_table.map(([name, ...efs]) => row(name, ...efs.map((ef) => ef.toFixed(1)))));
  moveThreshold(exam);
}

let society = null; // one for all cards

function fillBands({ shell, view }) {
  const select = one(shell, ".societies");
  if (!select.options.length) {
    select.replaceChildren(...Object.keys(view.bands).map((name) => make("option", {}, name)));
    select.addEventListener("change", () => {
      society = select.value;
      for (const exam of exams.values()) if (exam.view?.kind === "answer") fillBands(exam);
    });
  }
  select.value = society ?? select.options[0].value;
  const bands = view.bands[select.value];
  one(shell, ".bands").hidden = !bands.length;
  one(shell, ".no-sex").hidden = Boolean(bands.length);
  one(shell, ".bands tbody").replaceChildren(...bands.map(([name, inequality, p]) => row(name, inequality, p)));
}

function bar(category) {
  const filled = make("div", { class: `bar ${category.tone}` });
  filled.style.width = `${100 * category.p}%`;
  return make("tr", { class: "bar-row", "aria-hidden": "true" }, make("td", { colspan: "3" }, make("div", { class: "track" }, filled)));
}

function moveThreshold({ shell, view }) { // a line in the drawing, and the same in words
  const t = Number(one(shell, ".threshold input").value), p = view.cdf[Math.round(t / view.step)];
  const svg = one(shell, ".dots svg"), { low, high, margin, width } = view.axis, base = Number(one(svg, ".axis").getAttribute("y1"));
  const x = margin + (Math.min(high, Math.max(low, t)) - low) * (width - 2 * margin) / (high - low);
  svg.querySelectorAll(".mark, .mark-head").forEach((element) => element.remove());
  const draw = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    svg.append(element);
  };
  draw("line", { class: "mark", x1: x, x2: x, y1: 44, y2: base });
  draw("path", { class: "mark-head", d: `M${x - 6} ${base + 9} h12 l-6 -9 z` });
  one(shell, ".threshold output").textContent = `P(EF ≤ ${t} %) ${equals(p)}`;
  one(shell, ".threshold input").setAttribute("aria-valuetext", `EF ${t} %, probability ${percent(p)}`);
  const of = wholePercent(p), share = of <= 0 ? "fewer than 1" : of >= 100 ? "more than 99" : `about ${of}`;
  one(shell, ".threshold .words").textContent = view.record.calibration
    ? `Of 100 such clips in the population that the model was calibrated on, ${share} had a reported EF of at most ${t} %.`
    : `The model, which is not calibrated, expects a reported EF of at most ${t} % of ${share} in 100 such clips.`;
}

async function download(exam, name, button) {
  button.disabled = true;
  try {
    const response = await call(`/jobs/${exam.id}/${name}`);
    const link = make("a", { download: `${exam.name.replace(/\.[^.]*$/, "")}.${name}`, href: URL.createObjectURL(await response.blob()) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`${name} was saved.`);
  } catch (error) { one(exam.shell, ".wrong").textContent = `${error.cause} ${error.next_step ?? ""}`; }
  button.disabled = false;
}

// --- two exams ---

let comparing = false, comparison = 0; // nothing is compared before it was asked for; an older reply never overtakes

function offerComparison() {
  const answered = [...exams.values()].filter((exam) => exam.view?.kind === "answer");
  if (answered.length < 2) comparing = false;
  document.getElementById("offer").hidden = comparing || answered.length < 2;
  document.getElementById("compare").hidden = !comparing;
  for (const [place, id] of ["before", "after"].entries()) { // the first and the last, until somebody chooses
    const select = document.getElementById(id), chosen = select.value;
    select.replaceChildren(...answered.map((exam) => make("option", { value: exam.id }, exam.called)));
    const stays = select.dataset.chosen && answered.some((exam) => exam.id === chosen);
    select.value = stays ? chosen : answered.at(-place)?.id ?? "";
  }
  if (comparing) compare();
}

async function compare() {
  const [before, after] = ["before", "after"].map((id) => document.getElementById(id)), turn = comparison += 1;
  const tell = (words, order = "", doubts = []) => {
    if (turn !== comparison) return;
    document.getElementById("change").textContent = words;
    document.getElementById("order").textContent = order;
    document.getElementById("doubts").replaceChildren(...doubts.map((doubt) => make("li", {}, `⚠ ${doubt}`)));
  };
  tell("");
  try {
    const said = await (await call(`/change?${new URLSearchParams({ before: before.value, after: after.value })}`)).json();
    if (turn !== comparison) return;
    [before.value, after.value] = [said.before, said.after];
    const order = said.by_date ? "In the order of the dates in the files." : "In the order chosen here: the files do not both say when they were taken.";
    tell(`P(EF fell by 10 points or more) ${equals(said.probability)}`, order, said.warnings);
  } catch (error) { tell(`${error.cause ?? error} ${error.next_step ?? ""}`); }
}

// --- the page itself ---

const drop = document.getElementById("drop"), files = document.getElementById("files");
files.addEventListener("change", () => { [...files.files].forEach((file) => take(file)); files.value = ""; });
for (const kind of ["dragover", "dragenter"]) addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  [...event.dataTransfer.files].forEach((file) => take(file));
});
document.getElementById("ask-compare").addEventListener("click", () => {
  comparing = true;
  offerComparison();
  document.getElementById("before").focus();
});
for (const id of ["before", "after"]) document.getElementById(id).addEventListener("change", (event) => { event.target.dataset.chosen = "yes"; compare(); });
addEventListener("pagehide", () => { // what is not looked at any more need not be kept
  for (const id of exams.keys())
    fetch(`${API}/jobs/${id}`, { method: "DELETE", keepalive: true, headers: token ? { Authorization: `Bearer ${token}` } : {} });
});

call("/about").then((response) => response.json()).then((about) => {
  for (const id of ["notice", "notice-again"]) document.getElementById(id).textContent = about.notice;
  document.getElementById("limits").textContent = `Up to ${about.most_bytes / 2 ** 20} MiB each${about.adults_only ? "; adults only" : ""}.`;
  document.getElementById("provenance").textContent = `mcsdr ${about.version}, model ${about.model}, SHA-256 ${about.model_sha256}`;
}).catch((error) => say(error.cause));
