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
})();
