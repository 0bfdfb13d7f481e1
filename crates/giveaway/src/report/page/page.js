'use strict';
(() => {
  document.documentElement.classList.add('script');
  const theme = document.getElementById('theme');
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (document.documentElement.dataset.theme || (system.matches ? 'dark' : 'light')) === 'dark';
  const show = () => {
    theme.setAttribute('aria-pressed', String(isDark()));
  };
  theme.addEventListener('click', () => {
    document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
    show();
  });
  system.addEventListener('change', show);
  show();
  // Who rests on a term need not go to its explanation.
  for (const link of document.querySelectorAll('a.term')) {
    const term = document.getElementById(link.hash.slice(1));
    if (term && term.nextElementSibling) link.title = term.nextElementSibling.textContent;
  }
})();
