// Renders the quickstart, clicks its button, and prints the text of each message that it shows.
import { createElement } from "react";
import { create } from "react-test-renderer";
import { connect } from "chatkit-client/node";
import { Lobby } from "./Lobby.js";

const [address, token] = process.argv.slice(2);
const renderer = create(createElement(Lobby, { client: connect(address, token) }));
let hasClicked = false;
let told = 0;
setInterval(() => {
  if (renderer.toJSON() === null) {
    return;
  }
  const { root } = renderer;
  for (const { props } of root.findAllByType("button")) {
    if (!props.disabled && !hasClicked) {
      hasClicked = true;
      props.onClick();
    }
  }
  for (const { props } of root.findAllByType("p").slice(told)) {
    told += 1;
    console.log(props.children);
  }
}, 20);
