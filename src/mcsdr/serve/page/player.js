// The looping clip: frames on one sheet, drawn one at a time on a canvas. It stands still where motion is not wanted.

const one = (root, selector) => root.querySelector(selector);

export async function player(root, exam, get) {
  const canvas = one(root, "canvas"), slider = one(root, ".player input"), button = one(root, ".play");
  let about, picture;
  try {
    about = await (await get("sheet")).json();
    picture = await createImageBitmap(await (await get("sheet.jpg")).blob());
  } catch { one(root, ".clip").hidden = true; return; }
  const { columns, count, width, height, rate_hz, beats, outlines } = about;
  const fine = 2; // pixels of the canvas for one of the sheet, so that lines are not coarse
  canvas.width = fine * width;
  canvas.height = fine * height;
  canvas.setAttribute("aria-label", `The ultrasound sector that was read, a loop of ${count} frames.`);
  slider.max = count - 1;
  const pen = canvas.getContext("2d");
  const named = new Map(beats.flatMap(({ ed, es }) => [[ed, "end-diastole"], [es, "end-systole"]]));
  let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches, at = 0, last = null, carried = 0, alive = true;

  const shown = one(root, ".outlined input");
  const outline = () => {
    pen.strokeStyle = "#E69F00";
    pen.lineWidth = 3;
    for (const line of outlines[at]) {
      pen.beginPath();
      for (let i = 0; i < line.length; i += 2) pen.lineTo(fine * line[i], fine * line[i + 1]);
      pen.stroke();
    }
  };
  const draw = () => {
    pen.drawImage(picture, (at % columns) * width, Math.floor(at / columns) * height, width, height, 0, 0, canvas.width, canvas.height);
    if (shown.checked) outline();
    slider.value = at;
    slider.setAttribute("aria-valuetext", `frame ${at + 1} of ${count}${named.has(at) ? `, suggested ${named.get(at)}` : ""}`);
  };
  const tell = () => { button.textContent = playing ? "Pause" : "Play"; };
  const go = (frame) => { playing = false; at = frame; tell(); draw(); };
  const tick = (now) => {
    if (!alive) return;
    if (playing && last !== null) {
      carried += (now - last) * rate_hz / 1000;
      const steps = Math.floor(carried);
      if (steps) { carried -= steps; at = (at + steps) % count; draw(); }
    }
    last = now;
    requestAnimationFrame(tick);
  };

  button.addEventListener("click", () => { playing = !playing; tell(); });
  slider.addEventListener("input", () => go(Number(slider.value)));
  shown.addEventListener("change", draw);
  shown.checked = exam.view.outlined; // then there are outlines
  one(root, ".outlined").hidden = !shown.checked;
  one(root, ".clip figcaption").textContent = beats.length
    ? `${count} frames, ${rate_hz.toFixed(0)} per second. The buttons go to the frames that look most filled (ED) and most contracted (ES): a suggestion, not a measurement.`
    : `${count} frames, ${rate_hz.toFixed(0)} per second. No whole beat was told apart, so no end-diastole is suggested.`;
  one(root, ".keys").replaceChildren(...beats.slice(0, 6).flatMap(({ ed, es }, beat) => [["ED", "end-diastole", ed], ["ES", "end-systole", es]].map(([short, long, frame]) => {
    const key = document.createElement("button");
    key.type = "button";
    key.textContent = beats.length > 1 ? `${short} ${beat + 1}` : short;
    key.setAttribute("aria-label", `Go to the suggested ${long}${beats.length > 1 ? ` of beat ${beat + 1}` : ""}`);
    key.addEventListener("click", () => go(frame));
    return key;
  })));
  exam.stopLoop = () => { alive = false; };
  tell();
  draw();
  requestAnimationFrame(tick);
}
