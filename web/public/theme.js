// Sets the theme before the first paint; src/ui/theme.ts goes on from here.
try {
  var chosen = localStorage.getItem("bl.theme");
} catch (_) {
  chosen = null; // storage is blocked: follow the system
}
document.documentElement.dataset.theme =
  chosen === "dark" || chosen === "light" ? chosen : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
