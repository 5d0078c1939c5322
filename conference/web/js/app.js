import { Api } from "./parley.js";
import { applyTheme } from "./ui/frame.js";
import { adoptTokenFromAddress, complaintAbout, kept } from "./ui/identity.js";
import { homePage } from "./pages/home.js";
import { joinPage } from "./pages/join.js";
import { tokenPage } from "./pages/token.js";

/** Entry point: the address decides which page this is. */
function main() {
  applyTheme();
  adoptTokenFromAddress();
  const token = kept();
  const complaint = token ? complaintAbout(token) : "";
  if (!token || complaint) return tokenPage(main, complaint);
  const api = new Api({ token });
  const code = location.pathname.match(/^\/join\/([A-Za-z0-9_-]+)\/?$/)?.[1];
  return code ? joinPage(api, code) : homePage(api);
}

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});
// A page brought back from the browser's cache has closed what it followed.
addEventListener("pageshow", (event) => event.persisted && location.reload());
main();
