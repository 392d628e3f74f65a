/** The webcam: one stream for the whole view, its light on only while it is looked through. */
import { useEffect, useReducer, useRef } from "../lib/html.js";

/** The camera stays on for a moment after it was let go, so that the next press need not wait. */
const REST_MS = 2000;
const SIDE = 480;
/** What the buttons say where browsers have no camera. */
export const ELSEWHERE = "The camera works only on https:// and on localhost";

let stream = null;
let users = 0;
let resting = 0;

/** Can there be a camera? Browsers give it to secure pages only. */
export const possible = () => Boolean(globalThis.isSecureContext && navigator.mediaDevices?.getUserMedia);

async function acquire() {
  clearTimeout(resting);
  users += 1;
  try {
    stream ??= navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, facingMode: "environment" } });
    return await stream;
  } catch (error) {
    stream = null;
    throw new Error(words(error));
  }
}

function release() {
  users -= 1;
  if (users > 0) return;
  resting = setTimeout(async () => {
    const ended = stream;
    stream = null;
    (await ended)?.getTracks().forEach((track) => track.stop());
  }, REST_MS);
}

function words({ name, message }) {
  if (name === "NotAllowedError") return "The browser was told not to let this page see the camera. Allow it beside the address, and try again.";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "There is no camera at this computer.";
  if (name === "NotReadableError") return "Another program has the camera.";
  return `The camera does not start: ${message}`;
}

/**
 * Follow a camera: {video, on, problem, start, stop, grab}. `video` is the ref of a <video>; `grab()` gives the
 * middle of what it shows as a JPEG file, named after the moment, or null as long as there is nothing to see.
 */
export function useCamera() {
  const video = useRef(null);
  const has = useRef(false);
  const [state, set] = useReducer((before, values) => ({ ...before, ...values }), { on: false, problem: "" });
  const stop = () => {
    if (!has.current) return;
    has.current = false;
    release();
    set({ on: false });
  };
  const start = async () => {
    if (has.current) return;
    has.current = true;
    set({ problem: "" });
    try {
      const opened = await acquire();
      if (!has.current) return;
      set({ on: true });
      video.current.srcObject = opened;
      await video.current.play();
    } catch (error) {
      // play() is broken off where the button is let go at once
      if (error.name === "AbortError") return;
      if (has.current) release();
      has.current = false;
      set({ on: false, problem: error.message });
    }
  };
  useEffect(() => stop, []);
  return { video, ...state, start, stop, grab: () => grab(video.current) };
}

async function grab(video) {
  if (!video?.videoWidth) return null;
  const side = Math.min(video.videoWidth, video.videoHeight);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.min(side, SIDE);
  const from = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
  canvas.getContext("2d").drawImage(video, ...from, side, side, 0, 0, canvas.width, canvas.height);
  const taken = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return taken && new File([taken], `camera ${new Date().toISOString().replace(/[:T]/g, "-").slice(0, 23)}.jpg`, { type: taken.type });
}
