/** The console: a page of the edge's own, which needs a token and nothing else. */

import "./style.css";

import { render } from "preact";

import { App } from "./app.js";

const place = document.getElementById("console");
if (place !== null) {
  render(<App />, place);
}
