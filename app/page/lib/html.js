/** What views are written with. The one place that names the vendored file. */
export {
  html, render, useState, useReducer, useEffect, useLayoutEffect, useRef, useMemo, useCallback, useErrorBoundary,
} from "../vendor/preact.js";
