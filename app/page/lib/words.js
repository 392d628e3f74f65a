/** Numbers in words and with their units, the same everywhere. */

/** 0.873 as "87 %"; `digits` after the point. */
export function percent(share, digits = 0) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)} %`;
}

/** "1 picture", "12,000 pictures". */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** Seconds as "0.8 s", "8 s", "12 s", "3 min 5 s", "2 h 10 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Bytes as "812 B", "1.4 MB". */
export function bytes(number) {
  if (number === null || number === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${number < 10 && unit ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

/** Large counts as "61,706", "2.3 million", "4.1 billion". */
export function large(number) {
  if (number >= 1e9) return `${(number / 1e9).toFixed(1)} billion`;
  if (number >= 1e6) return `${(number / 1e6).toFixed(1)} million`;
  return number.toLocaleString("en");
}

/** A number of a map, short: two digits after the point but for whole numbers, an exponent for small ones. */
export function value(number) {
  if (number === null || !Number.isFinite(number)) return "–";
  if (Number.isInteger(number) && Math.abs(number) < 10000) return String(number + 0);
  const size = Math.abs(number);
  if (size !== 0 && size < 0.005) return number.toExponential(0);
  return number.toFixed(size >= 100 ? 0 : 2);
}

/** A number of a sum: whole, or with three digits after the point; of small ones three that count. */
export function precise(number) {
  if (number === null || number === undefined || !Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (Number.isInteger(number)) return String(number);
  if (size < 0.1) return size < 1e-4 ? number.toExponential(2) : number.toPrecision(3);
  return number.toFixed(3);
}

/** [28, 28, 1] as "28 × 28 × 1". */
export function shape(sizes) {
  return sizes.join(" × ");
}

/** "2026-01-31T12:00:00Z" as the reader's own date and time. */
export function when(time) {
  return time ? new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "–";
}

/** "use a smaller window" as "Use a smaller window." */
export function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
