/* global process, URL */
/** The site of the documents: `make docs` builds it into .build/docs. */
import { withMermaid } from 'vitepress-plugin-mermaid';

// Imported while the site is built, by Node: VitePress' own bundler would not understand its tsconfig.
const { headingSlug } = await import(new URL('../../build/prose.ts', import.meta.url).href);

const page = (text, link) => ({ text, link });

export default withMermaid({
  title: 'Larder',
  description: 'The image larder of a Kubernetes cluster',
  outDir: '../.build/docs',
  cacheDir: '../.build/vitepress',
  // It can be looked at from any folder of a web server.
  base: process.env.LARDER_DOCS_BASE ?? '/',
  srcExclude: ['node_modules/**'],
  markdown: { anchor: { slugify: headingSlug } },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: [
      {
        text: 'Install',
        items: [
          page('Install Larder', '/guide/install'),
          page('Amazon EKS', '/guide/install-eks'),
          page('Google GKE', '/guide/install-gke'),
          page('Azure AKS', '/guide/install-aks'),
          page('k3s', '/guide/install-k3s'),
          page('kubeadm', '/guide/install-kubeadm'),
        ],
      },
      {
        text: 'Use',
        items: [
          page('Private images', '/guide/private-images'),
          page('Policies', '/guide/policies'),
          page('Capacity', '/guide/capacity'),
          page('Monitoring', '/guide/monitoring'),
          page('New nodes', '/guide/new-nodes'),
          page('Upgrade', '/guide/upgrade'),
          page('Uninstall', '/guide/uninstall'),
          page('Troubleshoot', '/guide/troubleshoot'),
        ],
      },
      {
        text: 'Look up',
        items: [
          page('Metrics', '/metrics'),
          page('Glossary', '/glossary'),
          page('Performance', '/performance'),
          page('Performance notes', '/performance-notes'),
        ],
      },
      {
        text: 'Understand',
        items: [
          page('Architecture', '/architecture'),
          page('Contracts', '/contracts'),
          page('Decisions', '/adr/'),
        ],
      },
    ],
  },
});
