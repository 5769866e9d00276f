// The page: what is chosen and shown, and time.

const by = (id) => document.getElementById(id);
const DATA = JSON.parse(by("data").textContent);
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const darkness = matchMedia("(prefers-color-scheme: dark)");
const scenes = new Array(DATA.scenes.length); // decoded, once each is shown
const view = new View(by("view")), picture = new Picture(by("picture")), strip = new Strip(by("strip"));
const state = {
  scene: 0, frame: 0, time: 0, playing: false, speed: 1, person: null, model: null, points: "keypoints", measure: "error", wanted: null,
  loop: true, truth: true, uncertainty: false, follow: false, compare: true, trail: false, flat: true, theme: null,
  figure: null, joint: -1, // under the pointer
};
let palette = null, scene = null, figures = [], film = null, dirty = true, before = 0;
let shownFrame = -1, shownText = ""; // what the numbers were last written for
const pointer = { x: -1, y: -1, inside: false };
const found = { figure: null, joint: -1 };

// What is shown

function chooseScene(index) {
  state.scene = index;
  scene = scenes[index] ??= sceneOf(DATA.scenes[index]);
  state.person = state.model = null;
  state.points = scene.motions.some((motion) => motion.joints !== motion.keypoints && !motion.target) ? "joints" : "keypoints";
  film = scene.video ? new Film(scene.video, scene, () => { dirty = true; }) : null;
  by("scene").value = index;
  by("previous").disabled = by("next").disabled = DATA.scenes.length < 2;
  fill("person", scene.persons, (person) => `Person ${person}`, "Everybody");
  fill("model", scene.models, (model) => model || "unnamed", "All models");
  const [{ layout }] = scene.motions;
  by("points").replaceChildren(new Option(`${layout} keypoints`, "keypoints"), new Option("17 joints", "joints"));
  by("points").value = state.points;
  by("points-choice").hidden = scene.motions.every((motion) => motion.joints === motion.keypoints);
  by("scrub").max = scene.length - 1;
  chooseFigures();
  const { low, high } = view.bounds;
  const roomy = 4.5 * Math.min(1, view.width / view.height); // metres that one sees people well in
  set("follow", Math.hypot(high[0] - low[0], high[2] - low[2]) > roomy * (scene.persons.length > 1 ? 2.5 : 1));
  look("free");
  seek(0);
}

function fill(id, values, named, all) {
  by(id).replaceChildren(new Option(all, ""), ...values.map((value, index) => new Option(named(value), index)));
  by(`${id}-choice`).hidden = values.length < 2;
}

function chooseFigures() {
  figures = figuresOf(scene, state.person, state.model, state.points);
  state.figure = null;
  view.show(figures, state.compare);
  picture.show(figures, film);
  const known = Object.keys(MEASURES).filter((name) => figures.some(({ motion }) => MEASURES[name].has(motion)));
  state.measure = known.find((name) => name === state.wanted) ?? (known.includes("error") ? "error" : "confidence");
  by("measure").replaceChildren(...known.map((name) => new Option(MEASURES[name].label, name)));
  by("measure").value = state.measure;
  strip.show(scene, figures, state.measure);
  const truth = figures.some((figure) => figure.truth);
  by("truth").hidden = !truth;
  by("truth-legend").hidden = !truth || !state.truth;
  by("compare").hidden = figures.every((figure) => figure.columns < 2);
  showFacts();
  resize();
}

function showFacts() {
  const distinct = (of) => [...new Set(figures.map(({ motion }) => of(motion)))].filter(Boolean).join("; ");
  const facts = {
    Video: distinct((motion) => motion.name), Keypoints: distinct((motion) => motion.layout), Models: distinct((motion) => motion.model),
    Scale: distinct((motion) => motion.scale), Frames: `${scene.length} at ${+scene.fps.toFixed(2)} a second`,
  };
  const rows = Object.entries(facts).filter(([, text]) => text).map(([name, text]) => {
    const term = document.createElement("dt"), description = document.createElement("dd");
    term.textContent = name;
    description.textContent = text;
    return [term, description];
  });
  by("facts").replaceChildren(...rows.flat());
  const [width, height] = figures[0].motion.size;
  by("picture-caption").textContent = `${film ? "Video" : "2D keypoints"} · ${width} × ${height} pixels`;
}

/** Turn an option on or off; its button shows which. */
function set(name, on) {
  state[name] = on;
  by(name).setAttribute("aria-pressed", on);
  if (name === "flat") { by("picture-card").hidden = !on; resize(); }
  if (name === "compare" && scene) { view.show(figures, on); look("free"); }
  if (name === "truth") by("truth-legend").hidden = !on || by("truth").hidden;
  dirty = true;
}

function look(preset) {
  view.look(preset, !state.follow);
  dirty = true;
}

function chooseTheme(theme) {
  state.theme = theme;
  document.documentElement.dataset.theme = theme ?? (darkness.matches ? "dark" : "light");
  palette = paletteOf(DATA.colors);
  resize();
}

function resize() {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  view.resize(ratio);
  if (scene) { picture.resize(ratio); strip.resize(ratio, palette); }
  shownFrame = -1;
  dirty = true;
}

// Time

function end() {
  return scene.times[scene.length - 1] + 1 / scene.fps;
}

function seek(frame) {
  state.frame = Math.max(0, Math.min(scene.length - 1, frame));
  state.time = scene.times[state.frame];
  dirty = true;
}

function play(on) {
  state.playing = on;
  if (on && state.frame === scene.length - 1) seek(0);
  by("play").classList.toggle("playing", on);
  by("play").setAttribute("aria-label", on ? "Pause" : "Play");
}

function advance(seconds) {
  state.time += seconds * state.speed;
  if (state.time >= end()) {
    if (state.loop) { state.time = scene.times[0]; state.frame = 0; }
    else { seek(scene.length - 1); play(false); return; }
  }
  const old = state.frame;
  while (state.frame + 1 < scene.length && scene.times[state.frame + 1] <= state.time + 1e-6) state.frame++;
  if (state.frame !== old || state.frame === 0) dirty = true;
}

function tick(now) {
  const seconds = Math.min(0.25, (now - before) / 1000);
  before = now;
  if (state.playing) advance(seconds);
  if (dirty) {
    dirty = false;
    view.draw(state.frame, palette, state);
    if (state.flat) picture.draw(state.frame, palette, state);
    strip.draw(state.frame, palette);
    showNumbers();
  }
  requestAnimationFrame(tick);
}


function showNumbers() {
  if (by("scrub").valueAsNumber !== state.frame) by("scrub").value = state.frame;
  by("scrub").style.setProperty("--done", `${100 * state.frame / Math.max(1, scene.length - 1)}%`);
  showTip();
  if (shownFrame === state.frame) return;
  shownFrame = state.frame;
  const time = `${scene.times[state.frame].toFixed(2)} s`, frame = `Frame ${scene.numbers[state.frame]}`;
  by("frame").textContent = frame;
  by("clock").textContent = `${time} of ${end().toFixed(2)} s`;
  by("scrub").setAttribute("aria-valuetext", `${frame}, ${time}`);
  const { unit } = MEASURES[state.measure];
  const text = strip.lines.slice(0, 3).map(({ figure, values, mean }) => {
    const now = values[state.frame];
    const number = now === now ? now.toFixed(0) : "–";
    return strip.lines.length > 1 ? `${figure.label} ${number} ${unit}` : `${number} now, mean ${mean.toFixed(0)} ${unit}`;
  }).join(" · ");
  if (text !== shownText) by("reading").textContent = shownText = text;
}

/** The joint under the pointer, with its numbers. */
function showTip() {
  if (pointer.inside) view.pick(pointer.x, pointer.y, pointer.touch ? 26 : 15, found);
  else found.figure = null;
  if (state.figure !== found.figure || (found.figure && state.joint !== found.joint)) {
    state.figure = found.figure;
    state.joint = found.joint;
    dirty = true; // the ring around it
  }
  const tip = by("tip");
  by("view").classList.toggle("pointing", found.figure !== null);
  tip.hidden = found.figure === null;
  if (tip.hidden) return;
  const { figure: { points, motion, frame, label }, joint } = found;
  const at = (frame * points.count + joint) * 3, same = points === motion.keypoints;
  const metres = [0, 1, 2].map((axis) => points.positions[at + axis].toFixed(2)).join("  ");
  const lines = [points.names[joint] + (label ? ` · ${label}` : ""), `x y z  ${metres} m`];
  lines.push(`stated error  ${(1000 * points.error[frame * points.count + joint]).toFixed(0)} mm`);
  const error = same && motion.target ? trueError(motion, frame, joint) : NaN;
  if (error === error) lines.push(`true error  ${error.toFixed(0)} mm`);
  if (same) lines.push(`confidence  ${MEASURES.confidence.of(motion, frame, joint).toFixed(0)} %`);
  if (!isDetected(motion, frame)) lines.push("not detected in this frame");
  tip.textContent = lines.join("\n");
  const x = found.figure.screen[joint * 3] + 18, y = found.figure.screen[joint * 3 + 1] - tip.offsetHeight / 2;
  const right = x + tip.offsetWidth + 8 > view.width ? x - tip.offsetWidth - 36 : x;
  tip.style.transform = `translate(${Math.max(8, right)}px, ${Math.max(8, Math.min(view.height - tip.offsetHeight - 8, y))}px)`;
}
<<<<<<< HEAD

// Pointers: one turns or, with shift or another button, moves; two fingers move and zoom.

const fingers = new Map();

function onStage(event) {
  const box = by("view").getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

by("view").addEventListener("pointerdown", (event) => {
  by("view").setPointerCapture(event.pointerId);
  by("view").focus({ preventScroll: true, focusVisible: false });
  fingers.set(event.pointerId, onStage(event));
  Object.assign(pointer, onStage(event), { inside: true, touch: event.pointerType === "touch" });
  by("view").classList.add("turning");
  dirty = true;
});
by("view").addEventListener("pointermove", (event) => {
  const now = onStage(event), old = fingers.get(event.pointerId);
  dirty = true;
  if (event.pointerType !== "touch" || !old) Object.assign(pointer, now, { inside: event.pointerType !== "touch", touch: false });
  if (!old) return;
  const [dx, dy] = [now.x - old.x, now.y - old.y];
  if (fingers.size >= 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    view.zoom(Math.hypot(old.x - other.x, old.y - other.y) / Math.max(1, Math.hypot(now.x - other.x, now.y - other.y)));
    view.move(dx / 2, dy / 2);
  } else if (event.shiftKey || event.buttons & 6) {
    view.move(dx, dy);
  } else {
    view.orbit(dx * 0.008, dy * 0.008);
  }
  fingers.set(event.pointerId, now);
  if (event.pointerType === "touch" && Math.hypot(now.x - pointer.x, now.y - pointer.y) > 12) pointer.inside = false;
});
for (const name of ["pointerup", "pointercancel"]) {
  by("view").addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) by("view").classList.remove("turning");
  });
}
by("view").addEventListener("pointerleave", (event) => {
  if (event.pointerType !== "touch") pointer.inside = false;
  dirty = true;
});
by("view").addEventListener("wheel", (event) => {
  event.preventDefault();
  view.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * (event.deltaMode ? 0.03 : 0.0022)));
  dirty = true;
}, { passive: false });
by("view").addEventListener("dblclick", () => look("free"));
by("view").addEventListener("contextmenu", (event) => event.preventDefault());

function seekStrip(event) {
  seek(strip.frameAt(event.clientX - by("strip").getBoundingClientRect().left));
}

by("strip").addEventListener("pointerdown", (event) => {
  by("strip").setPointerCapture(event.pointerId);
  seekStrip(event);
});
by("strip").addEventListener("pointermove", (event) => { if (event.buttons) seekStrip(event); });

// Buttons and menus

for (const name of ["truth", "uncertainty", "follow", "compare", "trail", "flat", "loop"]) {
  by(name).addEventListener("click", () => set(name, !state[name]));
}
for (const button of document.querySelectorAll("[data-preset]")) button.addEventListener("click", () => look(button.dataset.preset));
by("play").addEventListener("click", () => play(!state.playing));
by("back").addEventListener("click", () => step(-1));
by("forward").addEventListener("click", () => step(1));
by("scrub").addEventListener("input", () => seek(by("scrub").valueAsNumber));
by("speed").append(...SPEEDS.map((speed) => new Option(`${speed}×`, speed)));
by("speed").value = 1;
by("speed").addEventListener("change", () => { state.speed = +by("speed").value; });
by("scene").addEventListener("change", () => chooseScene(+by("scene").value));
by("previous").addEventListener("click", () => neighbour(-1));
by("next").addEventListener("click", () => neighbour(1));
for (const [id, values] of [["person", "persons"], ["model", "models"]]) {
  by(id).addEventListener("change", () => {
    state[id] = by(id).value === "" ? null : scene[values][+by(id).value];
    chooseFigures();
    look("free");
  });
}
by("points").addEventListener("change", () => { state.points = by("points").value; chooseFigures(); });
by("measure").addEventListener("change", () => {
  state.measure = state.wanted = by("measure").value;
  strip.show(scene, figures, state.measure);
  resize();
});
by("theme").addEventListener("click", () => chooseTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
by("save").addEventListener("click", save);
by("help-button").addEventListener("click", () => by("help").showModal());
by("options-button").addEventListener("click", () => openOptions(!by("options").classList.contains("open")));
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("#options, #options-button")) openOptions(false);
});
darkness.addEventListener("change", () => chooseTheme(state.theme));
new ResizeObserver(resize).observe(by("stage"));

function openOptions(open) {
  by("options").classList.toggle("open", open);
  by("options-button").setAttribute("aria-expanded", open);
}

function step(frames) {
  play(false);
  seek(state.frame + frames);
}

function neighbour(offset) {
  const count = DATA.scenes.length;
  if (count > 1) chooseScene((state.scene + offset + count) % count);
}

function faster(offset) {
  const index = Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(state.speed) + offset));
  by("speed").value = state.speed = SPEEDS[index];
}

/** The view as a PNG file of twice its size, with what it shows written under it. */
function save() {
  const canvas = document.createElement("canvas"), ratio = view.ratio;
  view.resize(2);
  view.draw(state.frame, palette, state);
  canvas.width = view.canvas.width;
  canvas.height = view.canvas.height;
  const context = canvas.getContext("2d");
  const ground = context.createLinearGradient(0, 0, 0, canvas.height);
  ground.addColorStop(0, palette.sky);
  ground.addColorStop(1, palette.ground);
  context.fillStyle = ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(view.canvas, 0, 0);
  context.fillStyle = palette.soft;
  context.font = "26px system-ui, sans-serif";
  context.fillText(`${scene.title} · frame ${scene.numbers[state.frame]}, ${scene.times[state.frame].toFixed(2)} s`, 28, canvas.height - 28);
  view.resize(ratio);
  dirty = true;
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${scene.title.replace(/[^\p{L}\p{N}]+/gu, "_").slice(0, 80)}_${scene.numbers[state.frame]}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

// Keys: what each does, and what the help says of it

const KEYS = [
  [["Space"], "play or pause", () => play(!state.playing), [" "]],
  [["←", "→"], "one frame back or on", null],
  [["Shift", "←", "→"], "one second back or on", null],
  [["Home", "End"], "first or last frame", null],
  [["↑", "↓"], "faster or slower", null],
  [["A", "D", "W", "S"], "turn; with Shift: move", null],
  [["+", "−"], "zoom", null],
  [["1"], "front", () => look("front")],
  [["2"], "side", () => look("side")],
  [["3"], "top", () => look("top")],
  [["4"], "whole motion, from an angle", () => look("free")],
  [["F"], "follow the body", () => set("follow", !state.follow)],
  [["L"], "loop", () => set("loop", !state.loop)],
  [["T"], "true skeleton", () => set("truth", !state.truth)],
  [["U"], "uncertainty", () => set("uncertainty", !state.uncertainty)],
  [["M"], "models side by side or overlaid", () => set("compare", !state.compare)],
  [["R"], "path of the body", () => set("trail", !state.trail)],
  [["V"], "2D keypoints", () => set("flat", !state.flat)],
  [["N", "P"], "next or previous sequence", null],
  [["K"], "save the picture", save],
  [["B"], "light or dark", () => by("theme").click()],
  [["?"], "this help", () => by("help").showModal()],
];
const TURN = 0.09, MOVE = 24;
const ACTIONS = new Map([
  ["arrowleft", (event) => step(event.shiftKey ? -Math.round(scene.fps) : -1)],
  ["arrowright", (event) => step(event.shiftKey ? Math.round(scene.fps) : 1)],
  ["arrowup", () => faster(1)], ["arrowdown", () => faster(-1)],
  ["home", () => seek(0)], ["end", () => step(scene.length)],
  ["a", (event) => (event.shiftKey ? view.move(MOVE, 0) : view.orbit(TURN, 0))],
  ["d", (event) => (event.shiftKey ? view.move(-MOVE, 0) : view.orbit(-TURN, 0))],
  ["w", (event) => (event.shiftKey ? view.move(0, MOVE) : view.orbit(0, TURN))],
  ["s", (event) => (event.shiftKey ? view.move(0, -MOVE) : view.orbit(0, -TURN))],
  ["+", () => view.zoom(0.9)], ["=", () => view.zoom(0.9)], ["-", () => view.zoom(1 / 0.9)],
  ["n", () => neighbour(1)], ["p", () => neighbour(-1)],
]);
for (const [keys, , action, names] of KEYS) {
  if (action) for (const key of names ?? keys) ACTIONS.set(key.toLowerCase(), action);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || by("help").open || !scene) return;
  const { target } = event, key = event.key.toLowerCase();
  if (key === "escape") return openOptions(false);
  if (target.matches("select")) return; // they have keys of their own
  if (target.matches("button") && (key === " " || key === "enter")) return;
  if (target.matches("input") && /^(arrow|home|end|page)/.test(key) && !event.shiftKey) return;
  const action = ACTIONS.get(key);
  if (!action) return;
  event.preventDefault();
  action(event);
  dirty = true;
});

for (const [keys, does] of KEYS) {
  const row = document.createElement("div"), caps = document.createElement("span");
  caps.append(...keys.map((key) => Object.assign(document.createElement("kbd"), { textContent: key })));
  row.append(does, caps);
  by("keys").append(row);
}

// The start

document.documentElement.style.setProperty("--left", DATA.colors[0]);
document.documentElement.style.setProperty("--right", DATA.colors[1]);
chooseTheme(null);
if (DATA.scenes.length) {
  by("scene").append(...DATA.scenes.map(({ title }, index) => new Option(title, index)));
  set("loop", true);
  chooseScene(0);
  play(!calm.matches);
  requestAnimationFrame((now) => { before = now; tick(now); });
} else {
  by("notice").textContent = DATA.empty;
  by("notice").hidden = false;
  for (const part of document.querySelectorAll(".choices, .transport, aside, .presets, .legend, #save, #options-button")) part.hidden = true;
}
window.viewer = { state, view, scenes, palette: () => palette }; // to look at from outside
=======
>>>>>>> d57189b58f8e7d5273bd5b82a869254df47cc9ab
