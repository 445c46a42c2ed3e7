"""A fitted blend -> one ONNX graph: float32 features in, remaining cycles out, with the arithmetic of the estimator."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from graph_tools import IR_VERSION, MAX_OPSET
from protocol import CAP

ML_OPSET = 3


def build(members, weights, name, version):
    """features [N, F] float32 -> rul [N, 1] float32 in [0, CAP]."""
    width = len(members.center)
    graph = GraphParts()
    parts = []
    if weights.get("trees"):
        graph.nodes.append(tree_node(members.trees, weights["trees"]))
        parts.append("tree_part")
    if weights.get("networks"):
        parts.append(add_networks(graph, members, weights["networks"]))
    if len(parts) > 1:
        graph.node("Sum", parts, "blend")
        parts = ["blend"]
    graph.node("Clip", [parts[0], graph.constant("lowest", 0.0), graph.constant("highest", CAP)], "rul")
    value = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, name, [value("features", TensorProto.FLOAT, ["N", width])],
            [value("rul", TensorProto.FLOAT, ["N", 1])], graph.constants),
        opset_imports=[helper.make_opsetid("", MAX_OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)])
    model.ir_version = IR_VERSION
    model.producer_name = "millwright"
    helper.set_model_props(model, {"pdm.name": name, "pdm.version": version, "pdm.task": "rul"})
    return model


class GraphParts:
    """Nodes and constants in the making."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
        return name

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output


def add_networks(graph, members, weight):
    """Standardise, then every network; the last layers share one matrix product, which also averages."""
    graph.node("Sub", ["features", graph.constant("center", members.center)], "distance")
    graph.node("Div", ["distance", graph.constant("scale", members.scale)], "z")
    hidden = []
    for index, network in enumerate(members.networks):
        at = "z"
        for layer, (matrix, bias) in enumerate(zip(network.coefs_[:-1], network.intercepts_[:-1])):
            tag = f"net{index}_{layer}"
            graph.node("Gemm", [at, graph.constant(f"{tag}_w", matrix), graph.constant(f"{tag}_b", bias)], tag)
            at = graph.node("Relu", [tag], f"{tag}_relu")
        hidden.append(at)
    share = weight * CAP / len(members.networks)
    last = np.concatenate([network.coefs_[-1] for network in members.networks]) * share
    bias = sum(network.intercepts_[-1] for network in members.networks) * share
    graph.node("Concat", hidden, "hidden", axis=1)
    return graph.node("Gemm", ["hidden", graph.constant("head_w", last), graph.constant("head_b", bias)], "network_part")


def tree_node(boosters, weight):
    """All trees of all boosters in one TreeEnsembleRegressor that sums leaf values scaled to their share."""
    table = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    leaves = {key: [] for key in ("treeids", "nodeids", "weights")}
    tree_count = 0
    for booster in boosters:
        for info in booster.dump_model()["tree_info"]:
            add_tree(info["tree_structure"], tree_count, weight / len(boosters), table, leaves)
            tree_count += 1
    attributes = {f"nodes_{key}": value for key, value in table.items()}
    attributes |= {f"target_{key}": value for key, value in leaves.items()}
    attributes["target_ids"] = [0] * len(leaves["treeids"])
    return helper.make_node("TreeEnsembleRegressor", ["features"], ["tree_part"], domain="ai.onnx.ml",
                            n_targets=1, aggregate_function="SUM", post_transform="NONE", **attributes)


def add_tree(root, tree, share, table, leaves):
    """Depth first; ids are given in visiting order."""
    next_id = 0

    def visit(node):
        nonlocal next_id
        own = next_id
        next_id += 1
        row = len(table["nodeids"])
        is_leaf = "leaf_value" in node
        if not is_leaf and node["decision_type"] != "<=":
            raise ValueError("only numeric splits are exported")
        for key, value in (("treeids", tree), ("nodeids", own), ("featureids", 0), ("values", 0.0),
                           ("modes", "LEAF"), ("truenodeids", 0), ("falsenodeids", 0)):
            table[key].append(value)
        if is_leaf:
            leaves["treeids"].append(tree)
            leaves["nodeids"].append(own)
            leaves["weights"].append(node["leaf_value"] * share)
            return own
        table["featureids"][row] = node["split_feature"]
        table["values"][row] = round_down(node["threshold"])
        table["modes"][row] = "BRANCH_LEQ"
        table["truenodeids"][row] = visit(node["left_child"])
        table["falsenodeids"][row] = visit(node["right_child"])
        return own

    visit(root)


def round_down(threshold):
    """Largest float32 not above the threshold: x <= it decides as x <= threshold for every float32 x."""
    single = np.float32(threshold)
    return float(single if float(single) <= threshold else np.nextafter(single, np.float32(-np.inf)))
