import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/parts.css";
import "./style/controls.css";
import "./style/cards.css";
import "./style/charts.css";
import "./style/help.css";
import "./style/tables.css";
import "./style/views.css";
import { App } from "./ui/app.tsx";
import { Page } from "./ui/page.ts";

const root = document.getElementById("app");
if (root) render(<App page={new Page()} />, root);
