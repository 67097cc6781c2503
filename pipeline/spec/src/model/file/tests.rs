//! Model files: what they unfold to, and what their errors say.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Model, Diagnostic> {
    Model::parse("m", "m.toml", text)
}

fn graph(text: &str, values: &[(&str, Value)]) -> Graph {
    let model = parse(text).unwrap_or_else(|e| panic!("{e}"));
    let value_of = |key: &str| values.iter().find(|(k, _)| *k == key).map(|(_, v)| v.clone());
    model.graph(value_of).unwrap_or_else(|e| panic!("{}", e.diagnostic))
}

/// The definition of a model, and the names of its nodes.
fn unfolded(text: &str, values: &[(&str, Value)]) -> (String, String) {
    let graph = graph(text, values);
    let names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    (graph.to_string(), names.join(" "))
}

fn definition(text: &str, values: &[(&str, Value)]) -> String {
    unfolded(text, values).0
}

/// A model of one layer behind a flatten.
fn layer(item: &str) -> String {
    format!("layers = [{{ layer = \"flatten\" }}, {item}]\n")
}

#[test]
fn every_layer_and_attribute() {
    let items = [
        "{ layer = \"dense\", units = 3, bias = false }",
        "{ layer = \"dense\", units = \"classes\", activation = \"none\" }",
        "{ layer = \"conv1d\", filters = 8, kernel = 5, stride = 2, padding = 2 }",
        "{ layer = \"conv2d\", filters = 8, kernel = [3, 1], padding = [1, 0], groups = 4, bias = false, activation = \"relu\" }",
        "{ layer = \"conv2d\", filters = 8, kernel = 3, padding = 0 }",
        "{ layer = \"conv3d\", filters = 8, kernel = 3, stride = [1, 2, 2], padding = \"same\", activation = \"gelu\" }",
        "{ layer = \"max_pool1d\", size = 2 }",
        "{ layer = \"max_pool2d\", size = 2 }",
        "{ layer = \"max_pool3d\", size = [1, 2, 2] }",
        "{ layer = \"avg_pool2d\", size = 3, stride = 2, padding = \"same\" }",
        "{ layer = \"global_avg_pool\" }",
        "{ layer = \"global_max_pool\" }",
        "{ layer = \"batch_norm\" }",
        "{ layer = \"batch_norm\", activation = \"silu\" }",
        "{ layer = \"dropout\", rate = 0.5 }",
        "{ layer = \"dropout\", rate = 0 }",
        "{ layer = \"stack_frames\" }",
        "{ layer = \"leaky_relu\" }",
        "{ layer = \"leaky_relu\", slope = 0.2 }",
        "{ layer = \"elu\" }",
        "{ layer = \"tanh\" }",
        "{ layer = \"sigmoid\" }",
        "{ layer = \"none\" }",
    ];
    let text: String = items.iter().fold(String::new(), |mut text, item| {
        let definition = definition(&layer(item), &[]);
        let _ = writeln!(text, "{}", definition.strip_prefix("flatten, ").unwrap_or("nothing"));
        text
    });
    insta::assert_snapshot!(text, @r"
    dense 3 no-bias
    dense classes
    conv5 8 stride 2 pad 2
    conv3x1 8 pad 1x0 groups 4 no-bias relu
    conv3x3 8 valid
    conv3x3x3 8 stride 1x2x2, gelu
    maxpool 2 stride 2
    maxpool 2
    maxpool 1x2x2 stride 1x2x2
    avgpool 3x3 stride 2x2 same
    global-avgpool
    global-maxpool
    batchnorm
    batchnorm, silu
    dropout 0.5
    nothing
    stack-frames
    leaky-relu 0.01
    leaky-relu 0.2
    elu 1
    tanh
    sigmoid
    nothing
    ");
}

#[test]
fn both_spellings_of_an_activation_are_one_network() {
    for (fused, apart) in [
        ("{ layer = \"dense\", units = 3, activation = \"relu\" }", "{ layer = \"dense\", units = 3 }, { layer = \"relu\" }"),
        ("{ layer = \"batch_norm\", activation = \"relu\" }", "{ layer = \"batch_norm\" }, { layer = \"relu\" }"),
        ("{ layer = \"dense\", units = 3, activation = \"tanh\" }", "{ layer = \"dense\", units = 3 }, { layer = \"tanh\" }"),
        ("{ layer = \"dense\", units = 3, activation = \"elu\" }", "{ layer = \"dense\", units = 3 }, { layer = \"elu\", alpha = 1 }"),
    ] {
        assert_eq!(definition(&layer(fused), &[]), definition(&layer(apart), &[]));
    }
    // Not where something else takes what comes before the ReLU, or where there is nothing to fuse with.
    let shared = "[nodes]\na = { layer = \"dense\", from = \"input\", units = 3 }\nb = { layer = \"relu\", from = \"a\" }\n\
                  c = { layer = \"add\", from = [\"a\", \"b\"] }";
    assert_eq!(definition(shared, &[]), "dense 3, relu, add <- 1 2");
    assert_eq!(definition("layers = [{ layer = \"relu\" }, { layer = \"relu\" }]", &[]), "relu, relu");
}

#[test]
fn the_style_does_not_matter() {
    let sequential = "
layers = [
    { layer = \"conv2d\", filters = 4, kernel = 3, activation = \"gelu\" },
    { block = \"double\", width = 8 },
    { layer = \"dropout\", rate = 0.1 },
    { layer = \"dense\", units = \"classes\" },
]
[blocks.double]
parameters = { width = 2 }
layers = [{ layer = \"dense\", units = \"$width\", repeat = 2, activation = \"relu\" }]
";
    let functional = "
[nodes]
logits = { layer = \"dense\", from = \"dropped\", units = \"classes\" }
dropped = { layer = \"dropout\", from = \"middle\", rate = 0.1 }
middle = { block = \"double\", from = \"stem\", width = 8 }
stem = { layer = \"conv2d\", from = \"input\", filters = 4, kernel = 3, activation = \"gelu\" }
[blocks.double]
parameters = { width = 2 }
[blocks.double.nodes]
second = { layer = \"relu\", from = \"wide\" }
wide = { layer = \"dense\", from = \"first\", units = \"$width\" }
first = { layer = \"dense\", from = \"input\", units = \"$width\", activation = \"relu\" }
";
    let expected = "conv3x3 4 valid, gelu, dense 8 relu, dense 8 relu, dropout 0.1, dense classes";
    let names = "conv2d_1 conv2d_1/activation double_1/dense_1 double_1/dense_2 dropout_1 dense_1";
    assert_eq!(unfolded(sequential, &[]), (expected.into(), names.into()));
    let names = "stem stem/activation middle/first middle/wide dropped logits";
    assert_eq!(unfolded(functional, &[]), (expected.into(), names.into()));
}

#[test]
fn nodes_are_in_the_order_of_the_file_as_far_as_they_can_be() {
    let text = "output = \"end\"
[nodes]
end = { layer = \"concat\", from = [\"right\", \"left\"] }
right = { layer = \"tanh\", from = \"input\" }
left = { block = \"two\", from = \"input\" }
[blocks.two.nodes]
b = { layer = \"sigmoid\", from = \"a\" }
a = { layer = \"gelu\", from = \"input\" }
";
    assert_eq!(unfolded(text, &[]), ("tanh, gelu <- 0, sigmoid, concat <- 1 3".into(), "right left/a left/b end".into()));
}

#[test]
fn items_repeat() {
    let text = "layers = [{ layer = \"flatten\" }, { layer = \"dense\", units = 2, repeat = \"$depth\", activation = \"silu\" }, { block = \"b\", repeat = 2 }]
[parameters]
depth = 2
[blocks.b]
layers = [{ layer = \"tanh\" }, { layer = \"gelu\" }]
";
    let (definition, names) = unfolded(text, &[]);
    assert_eq!(definition, "flatten, dense 2, silu, dense 2, silu, tanh, gelu, tanh, gelu");
    assert_eq!(names, "flatten_1 dense_1 dense_1/activation dense_2 dense_2/activation b_1/tanh_1 b_1/gelu_1 b_2/tanh_1 b_2/gelu_1");
    assert!(unfolded(text, &[("model.depth", Value::Int(0))]).0.starts_with("flatten, tanh"));
    let nodes = "[nodes]\na = { layer = \"tanh\", from = \"input\", repeat = 2 }\nb = { layer = \"relu\", from = \"a\" }";
    assert_eq!(unfolded(nodes, &[]), ("tanh, tanh, relu".into(), "a/1 a/2 b".into()));
}

#[test]
fn conditions_leave_items_out() {
    let text = "
[parameters]
factor = [\"none\", \"two3\", \"cross\"]
norm = false
reduce = 0
[nodes]
a = { layer = \"tanh\", from = \"input\" }
b = { layer = \"gelu\", from = \"input\", unless = { factor = [\"two3\", \"cross\"], norm = true } }
c = { layer = \"add\", from = [\"a\", \"b\"], when = { factor = [\"two3\", \"cross\"] } }
d = { layer = \"batch_norm\", from = \"c\", when = \"$norm\" }
e = { layer = \"dense\", from = \"d\", units = \"$reduce\", when = \"$reduce\" }
f = { layer = \"silu\", from = \"e\", unless = { factor = \"none\" }, when = \"$norm\" }
";
    let with = |values: &[(&str, Value)]| definition(text, values);
    let factor = |name: &'static str| ("model.factor", Value::Text(name.into()));
    // What a left-out join would have taken besides is dropped.
    assert_eq!(with(&[]), "tanh");
    assert_eq!(with(&[factor("cross")]), "tanh, gelu <- 0, add <- 1 2");
    assert_eq!(with(&[factor("two3"), ("model.norm", Value::Bool(true))]), "tanh, add <- 1 0, batchnorm, silu");
    assert_eq!(with(&[("model.reduce", Value::Int(7))]), "tanh, dense 7");
}

#[test]
fn parameters_reach_every_attribute_and_blocks_see_their_own() {
    let text = "
layers = [
    { layer = \"$kind\", filters = 4, kernel = [\"$size\", 1], padding = \"$padding\", activation = \"$act\" },
    { block = \"outer\", reduce = \"$size\" },
    { block = \"outer\" },
]
[parameters]
kind = \"conv2d\"
size = 3
padding = \"same\"
act = [\"relu\", \"none\", \"elu\"]
[blocks.outer]
parameters = { reduce = 24, width = 5 }
layers = [{ block = \"inner\", units = \"$reduce\" }, { layer = \"dense\", units = \"$width\" }]
[blocks.inner]
parameters = { units = 1, rate = 0.5 }
layers = [{ layer = \"dense\", units = \"$units\" }, { layer = \"dropout\", rate = \"$rate\" }]
";
    let expected = "conv3x1 4 relu, dense 3, dropout 0.5, dense 5, dense 24, dropout 0.5, dense 5";
    assert_eq!(definition(text, &[]), expected);
    let changed = definition(
        text,
        &[
            ("model.size", Value::Int(1)),
            ("model.act", Value::Text("elu".into())),
            ("model.padding", Value::Text("valid".into())),
            ("model.blocks.outer.reduce", Value::Int(9)),
            ("model.blocks.inner.rate", Value::Int(0)),
        ],
    );
    assert_eq!(changed, "conv1x1 4, elu 1, dense 1, dense 5, dense 9, dense 5");
    let model = parse(text).unwrap();
    let choice = model.choice();
    let keys: Vec<&str> = choice.keys.iter().map(|k| k.name).collect();
    let open = ["model.kind", "model.size", "model.padding", "model.act", "model.blocks.outer.reduce", "model.blocks.outer.width"];
    assert_eq!(keys, [&open[..], &["model.blocks.inner.rate"]].concat());
    assert!(model.is_closed("model.blocks.inner.units") && !model.is_closed("model.blocks.inner.rate"));
    // The wrong value is traced to the key that brought it, through an argument, too.
    let misfit = |key: &'static str, value: Value| {
        let misfit = model.graph(|k| (k == key).then(|| value.clone())).unwrap_err();
        assert_eq!(misfit.key.as_deref(), Some(key));
        misfit.diagnostic.message.clone()
    };
    assert_eq!(misfit("model.size", Value::Int(0)), "`kernel` of conv2d takes a whole number from 1 to 1024, or a list of 2, not [0, 1]");
    let units = "`units` of dense takes a whole number from 1 to 65536 or \"classes\", not -1";
    assert_eq!(misfit("model.blocks.outer.reduce", Value::Int(-1)), units);
    assert_eq!(misfit("model.kind", Value::Text("conv9d".into())), "unknown layer `conv9d`");
}

#[test]
fn errors_say_what_where_and_what_would_be_right() {
    let ok = "layers = [{ layer = \"flatten\" }]\n";
    let nodes = |nodes: &str| format!("[nodes]\na = {{ layer = \"tanh\", from = \"input\" }}\n{nodes}");
    let cases = [
        // Layers and attributes.
        layer("{ layer = \"conv2\", filters = 3, kernel = 3 }"),
        layer("{ layer = \"lstm\" }"),
        layer("{ layer = 3 }"),
        layer("{ layer = \"conv2d\", filter = 3, kernel = 3 }"),
        layer("{ layer = \"flatten\", units = 3 }"),
        layer("{ layer = \"conv2d\", filters = 3 }"),
        layer("{ layer = \"dense\", units = 0 }"),
        layer("{ layer = \"dense\", units = 1e3 }"),
        layer("{ layer = \"dense\", units = \"clases\" }"),
        layer("{ layer = \"dense\", units = 99999999999999999999 }"),
        layer("{ layer = \"dense\", units = { a = 1 } }"),
        layer("{ layer = \"dense\", units = 3, bias = 1 }"),
        layer("{ layer = \"dense\", units = 3, activation = \"rleu\" }"),
        layer("{ layer = \"conv2d\", filters = 3, kernel = [3, 3, 3] }"),
        layer("{ layer = \"conv2d\", filters = 3, kernel = 3, padding = \"smae\" }"),
        layer("{ layer = \"conv2d\", filters = 3, kernel = 3, padding = -1 }"),
        layer("{ layer = \"conv2d\", filters = 3, kernel = 3, groups = 2 }"),
        layer("{ layer = \"dropout\", rate = 1 }"),
        layer("{ layer = \"leaky_relu\", slope = nan }"),
        layer("{ layer = \"concat\" }"),
        layer("{ layer = \"tanh\", from = \"input\" }"),
        layer("{ layer = \"tanh\", repeat = 10001 }"),
        layer("{ layer = \"tanh\", repeat = 9999999999999 }"),
        layer("{ units = 3 }"),
        layer("{ layer = \"tanh\", block = \"b\" }"),
        layer("3"),
        // Connections.
        nodes("b = { layer = \"gelu\", from = \"aa\" }"),
        nodes("b = { layer = \"gelu\", from = 3 }"),
        nodes("b = { layer = \"gelu\" }"),
        nodes("b = { layer = \"gelu\", from = [\"a\", \"input\"] }"),
        nodes(
            "b = { layer = \"add\", from = [\"a\", \"d\"] }\nc = { layer = \"gelu\", from = \"b\" }\nd = { layer = \"gelu\", from = \"c\" }",
        ),
        nodes("b = { layer = \"add\", from = [\"a\", \"b\"] }"),
        nodes("b = { layer = \"gelu\", from = \"a\" }\nc = { layer = \"gelu\", from = \"a\" }"),
        format!("output = \"a\"\n{}", nodes("b = { layer = \"gelu\", from = \"a\" }")),
        format!("output = \"c\"\n{}", nodes("")),
        nodes("a = { layer = \"gelu\", from = \"a\" }"),
        nodes("input = { layer = \"gelu\", from = \"a\" }"),
        nodes("\"a b\" = { layer = \"gelu\", from = \"a\" }"),
        nodes("b = { layer = \"add\", from = [\"a\", \"input\"], repeat = 2 }"),
        "[nodes]\n".into(),
        // The file.
        format!("{ok}{}", nodes("")),
        "about = \"nothing\"\n".into(),
        format!("output = \"x\"\n{ok}"),
        "layers = []\n".into(),
        "layers = { layer = \"flatten\" }\n".into(),
        format!("abuot = \"x\"\n{ok}"),
        format!("about = \"two\\nlines\"\n{ok}"),
        format!("input = [0]\n{ok}"),
        format!("classes = \"ten\"\n{ok}"),
        "[parameters]\nhidden = 3\nlayers = [{ layer = \"flatten\" }]\n".into(),
        "layers = [{ layer = \"dropout\", rate = 0 }]\n".into(),
        "layers = [\n".into(),
        // Parameters.
        format!("{}parameters = {{ hidden = 3 }}\n", layer("{ layer = \"dense\", units = \"$hiden\" }")),
        layer("{ layer = \"dense\", units = \"$hidden\" }"),
        format!("{ok}parameters = {{ hidden = 3 }}\n"),
        format!("{ok}parameters = {{ layer = 3 }}\n"),
        format!("{ok}parameters = {{ a = [] }}\n"),
        format!("{ok}parameters = {{ a = [\"x\", \"x\"] }}\n"),
        format!("{ok}parameters = {{ a = 2020-01-01 }}\n"),
        format!("{ok}parameters = {{ \"a.b\" = 1 }}\n"),
        format!("{}parameters = {{ rate = 2 }}\n", layer("{ layer = \"dropout\", rate = \"$rate\" }")),
        format!("{}parameters = {{ f = [\"a\", \"bcd\"] }}\n", layer("{ layer = \"tanh\", when = { f = \"bdc\" } }")),
        format!("{}parameters = {{ f = [\"a\", \"bcd\"] }}\n", layer("{ layer = \"tanh\", when = \"$f\" }")),
        format!("{}parameters = {{ f = 3 }}\n", layer("{ layer = \"tanh\", unless = { f = \"a\" } }")),
        layer("{ layer = \"tanh\", when = \"yes\" }"),
        layer("{ layer = \"tanh\", when = {} }"),
        // Blocks.
        layer("{ block = \"b\" }"),
        format!("{}[blocks.bee]\n{ok}", layer("{ block = \"be\" }")),
        format!("{}[blocks.b]\n{ok}", layer("{ block = \"b\", width = 3 }")),
        format!(
            "{}[blocks.b]\nparameters = {{ width = 3 }}\nlayers = [{{ layer = \"dense\", units = \"$width\" }}]",
            layer("{ block = \"b\", widht = 3 }")
        ),
        format!(
            "{}[blocks.b]\nparameters = {{ width = 3 }}\nlayers = [{{ layer = \"dense\", units = \"$width\" }}]",
            layer("{ block = \"b\", width = \"wide\" }")
        ),
        format!("{}[blocks.b]\nparameters = {{ width = 3 }}\n{ok}", layer("{ block = \"b\" }")),
        format!("{}[blocks.b]\nlayers = [{{ block = \"c\" }}]\n[blocks.c]\nlayers = [{{ block = \"b\" }}]\n", layer("{ block = \"b\" }")),
        format!("{}[blocks.b]\nlayers = [{{ block = \"b\" }}]\n", layer("{ block = \"b\" }")),
        format!("{ok}[blocks.b]\n{ok}"),
        format!("{}[blocks.b]\n", layer("{ block = \"b\" }")),
        format!("{}[blocks.b]\nlayer = 3\n", layer("{ block = \"b\" }")),
    ];
    let mut text = String::new();
    for case in cases {
        let error = parse(&case).err().unwrap_or_else(|| panic!("accepted:\n{case}"));
        writeln!(text, "{error}\n").unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn names_of_models_are_checked() {
    let name = |name: &str| Model::parse(name, "x", "layers = [{ layer = \"flatten\" }]").map_err(|e| e.message);
    assert!(name("a-B_3").is_ok());
    assert_eq!(name("a b").unwrap_err(), "`a b` can't be the name of a model: a model file is named with letters, digits, `_` and `-`");
    assert!(name("").is_err() && name(&"a".repeat(65)).is_err());
}

#[test]
fn what_is_too_large_is_refused_at_once() {
    let refused = |text: &str, why: &str| {
        let error = parse(text).unwrap_err();
        assert!(error.message.contains(why), "{error}");
    };
    let spaces = " ".repeat(MAX_BYTES);
    refused(&format!("layers = [{{ layer = \"tanh\" }}]{spaces}"), "too large; the limit is 1048576 bytes");
    let chain = |depth: usize, innermost: &str, repeat: usize| {
        let mut text = format!("layers = [{{ block = \"b1\", repeat = {repeat} }}]\n");
        for i in 1..depth {
            let _ = writeln!(text, "[blocks.b{i}]\nlayers = [{{ block = \"b{}\", repeat = {repeat} }}]", i + 1);
        }
        text + &format!("[blocks.b{depth}]\n{innermost}")
    };
    let tanh = "layers = [{ layer = \"tanh\" }]\n";
    assert!(parse(&chain(16, tanh, 1)).is_ok());
    refused(&chain(17, tanh, 1), "blocks in blocks more than 16 deep");
    refused(&chain(5000, tanh, 1), "blocks in blocks more than 16 deep");
    refused(&chain(16, tanh, 10_000), "the limit is 10000 layers");
    // What comes to nothing takes time, too.
    refused(&chain(16, "layers = [{ layer = \"dropout\", rate = 0 }]\n", 10_000), "its blocks and repetitions come to too much");
    refused(&format!("layers = {}{}", "[".repeat(100_000), "]".repeat(100_000)), "not valid TOML");
    let parameters = (0..200).fold(String::new(), |text, i| format!("{text}p{i} = 1\n"));
    refused(&format!("layers = [{{ layer = \"tanh\" }}]\n[parameters]\n{parameters}"), "200 parameters are too many; the limit is 100");
    // Many names, all wrong or in a circle: nothing takes time that grows faster than the file.
    let circle = (0..20_000).fold(String::from("[nodes]\n"), |mut text, i| {
        let _ = writeln!(text, "n{i} = {{ layer = \"tanh\", from = \"n{}\" }}", (i + 1) % 20_000);
        text
    });
    refused(&circle, "in a circle");
    refused(&circle.replacen("\"n1\"", "\"m\"", 1), "there is no node `m`");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(layers = \\[|nodes|\\[parameters\\]\n|\\[blocks\\.b\\]\n|\\{ layer = \"dense\"|, units = |\"\\$p\"|p = |\\[1, 2\\]|\\{|\\}|\\]|block = \"b\"|from = \"input\"|when = |repeat = |3|\n|=|é|, |\\PC){0,30}") {
        let _ = parse(&text);
    }

    /// Files that are nearly right: a built-in one with a piece cut out, or put in somewhere.
    #[test]
    fn near_misses_do_not_panic(which in 0usize..4, from in 0usize..2000, len in 0usize..40, insert in "(|\"|\\{|\\]|,|=|\\$|\n|units|from|0|-1|é|input|block){0,2}") {
        let texts = [
            include_str!("../../../../../experiments/models/mlp.toml"),
            include_str!("../../../../../experiments/models/small-cnn.toml"),
            include_str!("../../../../../experiments/models/inception.toml"),
            "[parameters]\nd = [\"a\", \"b\"]\n[nodes]\na = { layer = \"tanh\", from = \"input\", when = { d = \"b\" } }\nb = { layer = \"add\", from = [\"a\", \"input\"] }\n",
        ];
        let chars: Vec<char> = texts[which].chars().collect();
        let from = from % (chars.len() + 1);
        let to = (from + len).min(chars.len());
        let text: String = chars[..from].iter().copied().chain(insert.chars()).chain(chars[to..].iter().copied()).collect();
        if let Err(error) = parse(&text) {
            let _ = error.to_string();
        }
    }

    #[test]
    fn random_chains_are_the_same_in_both_styles(layers in proptest::collection::vec(0usize..6, 1..10), seed in any::<u64>()) {
        let kinds = ["tanh", "relu", "dense\", units = \"classes", "batch_norm\", activation = \"relu", "flatten", "gelu"];
        let list: Vec<String> = layers.iter().map(|k| format!("{{ layer = \"{}\" }}", kinds[*k])).collect();
        let from = |i: usize| if i == 0 { "input".to_owned() } else { format!("n{}", i - 1) };
        let mut nodes: Vec<String> = layers.iter().enumerate().map(|(i, k)| format!("n{i} = {{ layer = \"{}\", from = \"{}\" }}", kinds[*k], from(i))).collect();
        let turn = usize::try_from(seed % nodes.len() as u64).unwrap();
        nodes.rotate_left(turn);
        let sequential = definition(&format!("layers = [{}]", list.join(", ")), &[]);
        prop_assert_eq!(sequential, definition(&format!("[nodes]\n{}", nodes.join("\n")), &[]));
    }
}
