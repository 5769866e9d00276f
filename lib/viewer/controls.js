// What mouse, fingers and keys do, and the start.

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
