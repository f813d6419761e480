"""The style sheet of report pages: light and dark, wide and narrow, on paper."""

STYLE = """\
:root {
  --paper: #ffffff; --card: #f5f7f9; --ink: #1b2430; --soft: #5a6675; --rule: #d9dfe6; --accent: #1f66b5;
  --sans: system-ui, "Segoe UI", "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #12171e; --card: #1a212a; --ink: #e4e8ee; --soft: #9aa6b4; --rule: #313b47; --accent: #7db4f0; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3rem 2rem 5rem; max-width: 80rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 var(--sans); display: grid; grid-template-columns: 13rem minmax(0, 1fr); column-gap: 3rem;
  grid-template-areas: "header header" "nav main";
}
header { grid-area: header; border-bottom: 1px solid var(--rule); padding-bottom: 1.4rem; margin-bottom: 1.8rem; }
h1 { font: 650 2.1rem/1.2 var(--sans); letter-spacing: -0.02em; margin: 0; text-wrap: balance; }
h2 { font: 600 1.35rem/1.3 var(--sans); letter-spacing: -0.01em; margin: 3.2rem 0 0.8rem; scroll-margin-top: 1.5rem; }
section:first-child h2 { margin-top: 0; }
.subtitle { color: var(--soft); margin: 0.5rem 0 0; }
p, ul { max-width: 44rem; margin: 0.7rem 0; }
ul { padding-left: 1.2rem; }
a { color: var(--accent); }
code {
  font: 0.86em var(--mono); background: var(--card); padding: 0.1em 0.3em; border-radius: 3px; overflow-wrap: anywhere;
}
nav { grid-area: nav; font: 0.9rem/1.45 var(--sans); }
nav ol { list-style: none; margin: 0; padding: 0; position: sticky; top: 2rem; }
nav li { margin: 0 0 0.45rem; }
nav a { color: var(--soft); text-decoration: none; }
nav a:hover { color: var(--accent); text-decoration: underline; }
main { grid-area: main; min-width: 0; }
.verdict {
  border-left: 4px solid var(--accent); background: var(--card); padding: 0.5rem 1.3rem; margin: 1.2rem 0;
  border-radius: 0 8px 8px 0;
}
.verdict p { max-width: none; }
.facts {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 0.9rem 1.6rem; margin: 1.2rem 0;
  font-family: var(--sans);
}
.facts dt { color: var(--soft); font-size: 0.78rem; line-height: 1.4; }
.facts dd {
  margin: 0; font-size: 0.95rem; line-height: 1.4; overflow-wrap: anywhere; font-variant-numeric: tabular-nums;
}
.scroll { overflow-x: auto; margin: 1.3rem 0; }
table { border-collapse: collapse; font: 0.9rem/1.4 var(--sans); font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 0.5rem; }
caption span { display: block; max-width: min(44rem, calc(100vw - 2.5rem)); }
th, td {
  padding: 0.34rem 0.9rem 0.34rem 0; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--rule);
}
th { white-space: normal; font-weight: 600; border-bottom-color: var(--soft); vertical-align: bottom; }
.number { text-align: right; padding: 0.34rem 0 0.34rem 0.9rem; }
.number + :not(.number) { padding-left: 1.6rem; }
figure { margin: 1.6rem 0; }
figure img { display: block; max-width: 100%; height: auto; }
figure.picture img { border-radius: 8px; width: 100%; }
.gallery {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(var(--least), 100%), 1fr)); gap: 1.2rem;
  margin: 1.2rem 0;
}
.gallery figure { margin: 0; max-width: 44rem; }
figcaption { color: var(--soft); font: 0.88rem/1.5 var(--sans); margin-top: 0.6rem; max-width: 48rem; }
@media (max-width: 62rem) {
  body { display: block; padding: 2rem 1.2rem 4rem; }
  figure { overflow-x: auto; }
  figure img { min-width: min(var(--natural), 36rem); }
  .gallery figure { overflow-x: visible; }
  .gallery figure img { min-width: 0; }
  nav ol { position: static; display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin-bottom: 2rem; }
}
@media print {
  :root { --paper: #fff; --card: #f5f7f9; --ink: #000; --soft: #444; --rule: #bbb; --accent: #000; }
  @page { margin: 16mm; }
  body { display: block; padding: 0; max-width: none; font-size: 10pt; }
  nav { display: none; }
  figure, table, .verdict { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
